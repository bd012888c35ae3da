"""Runs trained together are the runs alone; what happens to one does not reach the others."""

import json
import shutil
import weakref

import pytest
import torch
import yaml

from fitting.errors import InputError
from trainer.__main__ import main
from trainer.alike import check_alike, most_together
from trainer.data.corpus import Corpus
from trainer.execution import Execution
from trainer.job import run_job
from trainer.jobs import Order, run_jobs
from trainer.result import Result, read_lines
from trainer.session import open_session
from trainer.stack import Stack
from trainer.train import Stepped, train

CALM = {"lr": 1e-3}  # noise is not magnified


def orders(folder, specs, **how):
    return [Order(folder=folder / f"run{i}", spec=spec, **how) for i, spec in enumerate(specs)]


def losses(result):
    return [m["loss"] for m in result.measurements]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"precision": "bf16"},
        {"model": {"family": "gpt2", "mlp": "gelu", "tied": True}},
        {"model": {"n_kv_head": 1, "window": 8, "mlp": "swiglu"}, "data": {"documents": "masked"}},
        {"schedule": "wsd-s"},
    ],
    ids=["plain", "bf16", "gpt2 tied", "grouped masked", "wsd-s"],
)
def test_a_run_of_a_stack_is_the_run_alone(tmp_path, make_spec, corpus_dir, changes, replaced):
    scheme = changes.pop("schedule", None) if "schedule" in changes else None
    specs = [
        make_spec(seed=seed, optimizer={"lr": lr}, **changes)
        for seed, lr in ((1, 1e-3), (2, 1e-3), (1, 2e-3))
    ]
    if scheme:
        specs = [replaced(s, schedule=replaced(s.schedule, scheme=scheme)) for s in specs]
    together = run_jobs(orders(tmp_path / "all", specs), corpus_dir)
    alone = [run_job(tmp_path / f"alone{i}", s, corpus_dir) for i, s in enumerate(specs)]
    for one, other in zip(together, alone, strict=True):
        assert (one.status, one.n_stacked, one.n_skipped) == ("finished", 3, 0)
        tolerance = 2e-3 if other.precision == "bf16" else 2e-5
        assert losses(one) == pytest.approx(losses(other), abs=tolerance)
        assert one.n_tokens_processed == other.n_tokens_processed
    assert losses(together[0]) != losses(together[1])


def test_its_journal_is_the_runs_own(tmp_path, make_spec, corpus_dir):
    specs = [make_spec(seed=s, optimizer=CALM) for s in (1, 2)]
    run_jobs(orders(tmp_path, specs), corpus_dir)
    run_job(tmp_path / "alone", specs[1], corpus_dir)
    lines = [read_lines(tmp_path / n / "progress.jsonl") for n in ("run1", "alone")]
    for key in ("step", "n_tokens", "lr", "phase", "horizon", "share"):
        assert [a[key] for a in lines[0]] == [b[key] for b in lines[1]]
    for key in ("loss", "grad_norm"):
        assert [a[key] for a in lines[0]] == pytest.approx([b[key] for b in lines[1]], rel=1e-4)


def test_stopped_and_resumed_it_is_the_same_bit_for_bit(tmp_path, make_spec, corpus_dir):
    specs = [make_spec(seed=s) for s in (1, 2)]
    whole = run_jobs(orders(tmp_path / "whole", specs), corpus_dir)
    for n_polls in (1, 2, 3):
        polls = iter(range(100))
        how = {"should_stop": lambda p=polls, n=n_polls: next(p) // 2 >= n}
        folder = tmp_path / f"stopped{n_polls}"
        stopped = run_jobs(orders(folder, specs, **how), corpus_dir)
        assert [r.status for r in stopped] == ["stopped", "stopped"]
        resumed = run_jobs(orders(folder, specs), corpus_dir)
        assert [r.measurements for r in resumed] == [r.measurements for r in whole]


def test_killed_while_it_saved_it_goes_on_as_the_same_stack(tmp_path, make_spec, corpus_dir):
    specs = [make_spec(seed=s) for s in (1, 2)]
    whole = run_jobs(orders(tmp_path / "whole", specs), corpus_dir)
    polls = iter(range(100))
    stop = {"should_stop": lambda: next(polls) // 2 >= 3}
    run_jobs(orders(tmp_path, specs, **stop), corpus_dir, checkpoint_every_s=0)
    saved = [sorted((tmp_path / f"run{i}" / "checkpoints").iterdir()) for i in (0, 1)]
    assert [len(s) for s in saved] == [2, 2]
    shutil.rmtree(saved[1][1])  # the first had saved, the second not yet
    resumed = run_jobs(orders(tmp_path, specs), corpus_dir)
    assert [r.n_stacked for r in resumed] == [2, 2]
    assert [r.measurements for r in resumed] == [r.measurements for r in whole]


def test_one_that_is_stopped_leaves_and_goes_on_alone(tmp_path, make_spec, corpus_dir):
    specs = [make_spec(seed=s, optimizer=CALM) for s in (1, 2, 3)]
    given = orders(tmp_path, specs)
    given[1] = Order(folder=given[1].folder, spec=specs[1], should_stop=lambda: True)
    results = run_jobs(given, corpus_dir)
    assert [r.status for r in results] == ["finished", "stopped", "finished"]
    again = run_jobs(orders(tmp_path, specs), corpus_dir)
    assert [r.status for r in again] == ["finished"] * 3
    assert again[1].n_stacked == 1
    alone = run_job(tmp_path / "alone", specs[1], corpus_dir)
    assert losses(again[1]) == pytest.approx(losses(alone), abs=2e-5)


def test_divergence_of_one_does_not_reach_the_others(tmp_path, make_spec, corpus_dir):
    specs = [make_spec(optimizer={"lr": lr}) for lr in (1e-3, 1e9, 2e-3)]
    results = run_jobs(orders(tmp_path, specs), corpus_dir)
    assert results[0].status == results[2].status == "finished"
    assert results[1].status == run_job(tmp_path / "alone", specs[1], corpus_dir).status
    calm = run_jobs(orders(tmp_path / "calm", [specs[0], specs[2], specs[2]]), corpus_dir)
    assert losses(results[0]) == pytest.approx(losses(calm[0]), rel=1e-6)


def test_a_gradient_that_is_no_number_is_skipped_by_its_run_alone(make_spec, corpus_dir):
    specs = [make_spec(seed=s) for s in (1, 2)]
    sessions = [
        open_session(
            s,
            Corpus(corpus_dir, s.data, context=s.model.context),
            Execution(device="cpu", precision="fp32", compiled=False, n_stacked=2),
        )
        for s in specs
    ]
    stack = Stack(sessions)
    runs = [train(s, stack.step_of(k)) for k, s in enumerate(sessions)]
    before = {n: t.clone() for n, t in sessions[0].live().items()}
    plain = stack.losses

    def with_nan(leaves, windows):
        objective, loss = plain(leaves, windows)
        return objective * torch.tensor([torch.nan, 1.0]), loss

    stack.losses = with_nan
    events = [next(r) for r in runs]
    assert all(isinstance(e, Stepped) for e in events)
    assert [int(s.guard.n_skipped) for s in sessions] == [1, 0]
    after = sessions[0].live()
    assert all(torch.equal(after[n], t) for n, t in before.items() if not n.startswith("guard"))
    assert torch.isfinite(stack.weights).all()


def test_without_memory_for_all_they_are_trained_one_by_one(
    tmp_path, make_spec, corpus_dir, monkeypatch
):
    advance, rounds, said, stacks = Stack._advance, iter(range(100)), [], []

    def full(self, windows):
        stacks.append(weakref.ref(self))
        if next(rounds) == 20:
            raise torch.OutOfMemoryError("out of memory")
        advance(self, windows)

    monkeypatch.setattr(Stack, "_advance", full)
    specs = [make_spec(seed=s) for s in (1, 2)]
    tell = {"on_end": lambda result: said.append((result.status, stacks[0]() is None))}
    given = orders(tmp_path, specs, **tell)
    given.append(
        Order(folder=tmp_path / "told", spec=make_spec(seed=3), should_stop=lambda: True, **tell)
    )
    results = run_jobs(given, corpus_dir)
    assert [(r.status, r.n_stacked) for r in results] == [
        ("finished", 1),
        ("finished", 1),
        ("stopped", 3),
    ]
    # The stack's memory is given back before one of them goes on alone.
    assert said == [("stopped", False), ("finished", True), ("finished", True)]


def test_who_lacked_memory_goes_on_alone(tmp_path, make_spec, corpus_dir, replaced):
    specs = [make_spec(seed=s) for s in (1, 2, 3)]
    before = run_job(tmp_path / "run0", specs[0], corpus_dir, should_stop=lambda: True)
    replaced(before, status="oom").save(tmp_path / "run0")
    results = run_jobs(orders(tmp_path, specs), corpus_dir)
    assert [(r.status, r.n_stacked) for r in results] == [
        ("finished", 1),
        ("finished", 2),
        ("finished", 2),
    ]


def test_small_models_gain_and_large_ones_do_not(make_spec):
    plain = make_spec().to_dict()
    assert most_together(plain, n_params=20_000, on_gpu=False) == 8
    assert most_together(plain, n_params=300_000, on_gpu=False) == 1
    assert most_together(plain, n_params=300_000, on_gpu=True) == 32
    lstm = make_spec(model={"family": "lstm", "n_head": 1}).to_dict()
    assert most_together(lstm, n_params=20_000, on_gpu=False) == 1


def test_what_is_done_is_not_trained_again(tmp_path, make_spec, corpus_dir, monkeypatch):
    specs = [make_spec(seed=s) for s in (1, 2)]
    first = run_jobs(orders(tmp_path, specs), corpus_dir)
    monkeypatch.setattr(Stack, "_advance", None)
    assert run_jobs(orders(tmp_path, specs), corpus_dir) == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"horizons": (20 * 64,)},
            "may differ in optimizer.lr and seed only; these differ in horizons (train them one",
        ),
        ({"optimizer": {"lr": 0.02, "beta2": 0.9}}, "these differ in optimizer.beta2 (train"),
    ],
)
def test_runs_that_are_not_alike_are_refused(tmp_path, make_spec, corpus_dir, changes, message):
    with pytest.raises(InputError) as e:
        run_jobs(orders(tmp_path, [make_spec(), make_spec(**changes)]), corpus_dir)
    assert message in str(e.value)
    assert not any(tmp_path.iterdir())


def test_what_does_not_batch_is_refused(make_spec):
    with pytest.raises(InputError, match=r"family of \('transformer', 'gpt2'\); got 'lstm'"):
        check_alike([make_spec(model={"family": "lstm", "n_head": 1})])
    big = make_spec(batch_tokens=1 << 20, horizons=(10 << 20,), data={"max_epochs": 1e9})
    with pytest.raises(
        InputError, match="67108864 at most; got batch_tokens 1048576 times vocab_size 256"
    ):
        check_alike([big])


def test_several_specs_on_the_command_line(tmp_path, make_spec, corpus_dir, capsys):
    files = []
    for seed in (1, 2):
        files.append(tmp_path / f"seed{seed}.yaml")
        files[-1].write_text(yaml.safe_dump(make_spec(seed=seed).to_dict()))
    out = tmp_path / "out"
    command = [*map(str, files), "--data", str(corpus_dir), "--out", str(out)]
    assert main(command) == 0
    said = json.loads(capsys.readouterr().out)
    assert [r["n_stacked"] for r in said] == [2, 2]
    assert Result.load(out / "seed1").status == Result.load(out / "seed2").status == "finished"
    assert main([*command, "--parts", "2"]) == 2
    assert "--parts is for one run; got 2 specs (leave it out" in capsys.readouterr().err


def test_several_specs_need_folders_of_their_own(tmp_path, make_spec, capsys):
    files = [tmp_path / folder / "s.yaml" for folder in ("a", "b")]
    for seed, file in enumerate(files):
        file.parent.mkdir()
        file.write_text(yaml.safe_dump(make_spec(seed=seed).to_dict()))
    out = tmp_path / "out"
    assert main([*map(str, files), "--data", str(tmp_path), "--out", str(out)]) == 2
    assert f"got {files[0]} and {files[1]} (rename one)" in capsys.readouterr().err
    assert not out.exists()


def test_several_specs_are_not_for_several_processes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["a.yaml", "b.yaml", "--data", str(tmp_path), "--out", str(tmp_path)]) == 2
    said = "several specs are trained by one process; got 2 specs and WORLD_SIZE 2 (start without"
    assert said in capsys.readouterr().err
