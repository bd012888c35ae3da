import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.costs.architecture import Architecture
from fitting.errors import InputError
from trainer.config import OptimizerSpec
from trainer.contamination import check_order, log_likelihoods, main, p_value, read_examples
from trainer.job import run_job
from trainer.models.lm import build

VOCAB = 32
HOW = {"n_shards": 8, "n_shuffles": 9}


def _model(seed=0):
    arch = Architecture(n_layer=2, d_model=32, n_head=2, vocab_size=VOCAB, context=32)
    return build(arch, OptimizerSpec(lr=0.01), seed=seed)


def _examples(seed, n=32):
    """Random words of equal statistics: nothing but having seen them tells their order."""
    rng = np.random.default_rng(seed)
    return [np.append(rng.integers(2, VOCAB, 7), 1) for _ in range(n)]


def _learn(model, examples, n_steps):
    """By heart, in this order."""
    text = torch.from_numpy(np.concatenate(examples))
    windows = text.unfold(0, model.arch.context + 1, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    for _ in range(n_steps):
        optimizer.zero_grad()
        model.losses(windows)[0].backward()
        optimizer.step()


def test_a_list_learnt_by_heart_is_found():
    model, examples = _model(), _examples(0)
    _learn(model, examples, 60)
    found = check_order(model, examples, **HOW, seed=0)
    assert found.p_value < 0.05
    assert found.advantage > 0
    assert (found.n_examples, found.n_tokens) == (32, 256)


def test_learning_another_order_is_not_this_one():
    model, examples = _model(), _examples(0)
    order = np.random.default_rng(1).permutation(len(examples))
    _learn(model, [examples[i] for i in order], 60)
    assert check_order(model, examples, **HOW, seed=0).p_value > 0.05


def test_a_fresh_model_gives_every_p_value():
    p = [check_order(_model(s), _examples(s), **HOW, seed=s).p_value for s in range(40)]
    assert 0.35 < np.mean(p) < 0.65  # .5 ± 3 standard errors of .046
    assert np.mean(np.less(p, 0.05)) < 0.15
    assert np.mean(np.less(p, 0.5)) == pytest.approx(0.5, abs=0.25)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3), shift=st.floats(-1e4, 1e4))
def test_p_depends_on_no_unit_and_no_shards_difficulty(seed, scale, shift):
    scores = np.random.default_rng(seed).normal(size=(6, 8))
    moved = scores * scale + shift * np.arange(6)[:, None]
    p, q = (p_value(x, np.random.default_rng(0), 2000) for x in (scores, moved))
    assert p == pytest.approx(q, abs=2e-3)
    assert 1 / 2001 <= p <= 1


def test_p_of_one_shard_is_the_rank():
    scores = np.array([[3.0, 1.0, 2.0, 4.0, 0.0]])  # two of five are as good
    assert p_value(scores, np.random.default_rng(0)) == pytest.approx(0.4, abs=0.01)
    assert p_value(np.ones((4, 5)), np.random.default_rng(0)) == 1.0  # all alike: nothing seen


def test_a_text_within_the_context_has_its_exact_likelihood():
    model = _model()
    ids = torch.randint(2, VOCAB, (3, 32), generator=torch.Generator().manual_seed(0))
    windows = torch.cat([torch.zeros_like(ids[:, :1]), ids], dim=1)
    with torch.no_grad():
        exact = -model.window_losses(windows) * 32
    np.testing.assert_allclose(log_likelihoods(model, ids), exact, rtol=1e-5)


def test_every_token_of_a_long_text_counts_once():
    model = _model()
    with torch.no_grad():
        model.head.weight.zero_()  # every token as likely as any
    for n in (1, 31, 33, 48, 49, 200):
        ids = torch.ones(2, n, dtype=torch.int64)
        np.testing.assert_allclose(log_likelihoods(model, ids), -n * np.log(VOCAB), rtol=1e-6)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"n_shards": 17}, "examples must be at least two for each of 17 shards; got 32"),
        ({"n_shards": 0}, "shards must be at least 1; got 0"),
        ({"n_shuffles": 0}, "shuffles must be at least 1; got 0"),
    ],
)
def test_what_cannot_be_tested_is_refused(how, message):
    with pytest.raises(InputError, match=message):
        check_order(_model(), _examples(0), **{**HOW, **how, "seed": 0})


def test_the_command_reads_lines_and_records(tmp_path, make_spec, corpus_dir, capsys):
    run_job(tmp_path / "run", make_spec(), corpus_dir)
    lines = [f"question {i}: what is {i} + {i}?" for i in range(8)]
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    records = "".join(json.dumps({"text": line}) + "\n" for line in lines)
    (tmp_path / "list.jsonl").write_text(records)
    assert read_examples(tmp_path / "list.txt") == read_examples(tmp_path / "list.jsonl") == lines
    args = [str(tmp_path / "run"), "--data", str(corpus_dir), "--shards", "2", "--shuffles", "3"]
    assert main([*args, "--examples", str(tmp_path / "list.txt")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_examples"], found["n_shards"]) == (8, 2)
    assert 0 < found["p_value"] <= 1
    assert main([*args, "--examples", str(tmp_path / "none.txt")]) == 2
    assert "examples must be a file; got" in capsys.readouterr().err
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n" * 8)
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "caf\xe9"}\n' * 8)
    for name, said in (("latin.txt", "examples"), ("latin.jsonl", "inputs")):
        assert main([*args, "--examples", str(tmp_path / name)]) == 2
        assert f"{said} must be UTF-8; {tmp_path / name} is not" in capsys.readouterr().err
    assert main([*args, "--examples", str(tmp_path / "list.txt"), "--seed", "-1"]) == 2
    assert "seed must lie in [0, 18446744073709551616); got -1" in capsys.readouterr().err
