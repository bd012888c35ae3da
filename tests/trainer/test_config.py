from math import inf, nan

import pytest
import yaml

from trainer.__main__ import main, read_spec
from trainer.config import RunSpec, ScheduleSpec


def test_a_spec_survives_its_own_json(make_spec):
    spec = make_spec(data={"mixture": (("python", 1.0),)})
    assert RunSpec.from_dict(spec.to_dict()) == spec
    assert RunSpec.from_dict(spec.to_dict()).fingerprint() == spec.fingerprint()


def test_numbers_as_yaml_reads_them_are_numbers(make_spec, tmp_path):
    text = yaml.safe_dump(make_spec(optimizer={"lr": 1.0}).to_dict())
    (tmp_path / "spec.yaml").write_text(text.replace("lr: 1.0", "lr: 1"))
    assert read_spec(tmp_path / "spec.yaml") == make_spec(optimizer={"lr": 1.0})
    (tmp_path / "spec.yaml").write_text(text.replace("lr: 1.0", "lr: 1e-2"))  # text in YAML 1.1
    assert read_spec(tmp_path / "spec.yaml") == make_spec(optimizer={"lr": 0.01})


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("optimizer", "lr"), "fast", "run.optimizer.lr must be a number; got 'fast'"),
        (("optimizer", "lr"), -1, "optimizer.lr must be positive; got -1.0"),
        (("seed",), 1.5, "run.seed must be int; got 1.5"),
        (("model", "d_model"), "wide", "run.model.d_model must be int; got 'wide'"),
        (("model", "depth"), 2, "run.model: unknown key 'depth'; known keys are"),
        (("batch_tokens",), 60, "batch_tokens must be a multiple of model.context; got 60 and 16"),
        (("horizons",), [64], "at least 10 steps long"),
        (
            ("schedule", "scheme"),
            "cosine",
            "schedule.scheme must be 'branch' or 'wsd-s'; got 'cosine'",
        ),
        (
            ("data", "documents"),
            "mixed",
            "data.documents must be 'packed' or 'masked'; got 'mixed'",
        ),
        (("schedule", "cooldown"), "cube", "schedule.cooldown must be '1-sqrt' or 'linear'; got"),
        (
            ("optimizer", "transfer"),
            "completeP",
            "optimizer.transfer must be 'completep' or 'none'; got 'completeP'",
        ),
        (("optimizer", "transfer"), None, "optimizer.transfer must be .*; got None"),
        (("optimizer", "name"), "sgd", "optimizer.name must be 'adamw'; got 'sgd'"),
        (
            ("optimizer", "weight_decay"),
            -0.1,
            r"optimizer.weight_decay must lie in \[0, inf\); got -0.1",
        ),
        (("optimizer", "z_loss"), nan, r"optimizer.z_loss must lie in \[0, inf\); got nan"),
        (("optimizer", "beta2"), 1.0, r"optimizer.beta2 must lie in \[0, 1\); got 1.0"),
        (("optimizer", "lr"), inf, "optimizer.lr must be positive and finite; got inf"),
        (("eval_tokens",), -5, "eval_tokens must be positive; got -5"),
        (
            ("seed",),
            2**64,
            r"seed must lie in \[0, 18446744073709551616\); got 18446744073709551616",
        ),
        (("seed",), -1, r"seed must lie in .*; got -1"),
        (("data", "max_epochs"), "inf", "data.max_epochs must be positive and finite; got inf"),
        (
            ("data", "mixture"),
            [["docs", nan]],
            "data.mixture weights must be positive and finite; got .*nan",
        ),
        (
            ("data", "mixture"),
            [["docs", 0.9], ["python", 0.05], ["docs", 0.05]],
            "data.mixture must name each domain once; got",
        ),
        (("data", "mixture"), {"docs": 1.0}, "run.data.mixture must be a list; got"),
        (("data", "mixture"), [["docs"]], r"run.data.mixture\[0\] must hold 2 values; got"),
        (("horizons",), [1280.5], r"run.horizons\[0\] must be int; got 1280.5"),
        (("precision",), "fp8", "precision must be 'auto', 'fp32' or 'bf16'; got 'fp8'"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_its_path(make_spec, path, value, message):
    d = make_spec().to_dict()
    inner = d
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ValueError, match=message):
        RunSpec.from_dict(d)


def test_a_count_written_as_a_float_is_the_same_run(make_spec):
    spec, d = make_spec(data={"mixture": (("docs", 0.5), ("python", 0.5))}), make_spec().to_dict()
    d["horizons"] = [float(h) for h in d["horizons"]]
    d["batch_tokens"] = float(d["batch_tokens"])
    d["data"]["mixture"] = [["docs", "0.5"], ["python", 5e-1]]
    assert RunSpec.from_dict(d).fingerprint() == spec.fingerprint()


def test_the_command_refuses_a_file_that_is_no_spec(tmp_path, capsys):
    (tmp_path / "spec.yaml").write_text("model: 3\n")
    args = [str(tmp_path / "spec.yaml"), "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(args) == 2
    assert "run: missing key" in capsys.readouterr().err


REFUSED = {
    "device": ({}, "cuda:99", "device must be 'auto' or one of ['cpu'"),
    "heads": (
        {"d_head": 0, "n_head": 3},
        "cpu",
        "d_model must be a multiple of n_head; got 16 and 3 (give d_head, or a width such as 15)",
    ),
    "groups": ({"n_head": 2, "n_kv_head": 3}, "cpu", "a multiple of n_kv_head; got 2 and 3"),
    "vocabulary": ({"vocab_size": 300}, "cpu", "must be the tokenizer's, 256; got 300"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_the_command_refuses_what_cannot_be_trained(make_spec, corpus_dir, tmp_path, capsys, case):
    change, device, message = case
    d = make_spec().to_dict()
    d["model"] |= change
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(d))
    args = ["--data", str(corpus_dir), "--out", str(tmp_path / "out"), "--device", device]
    assert main([str(tmp_path / "spec.yaml"), *args]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_trains_a_spec(make_spec, corpus_dir, tmp_path, capsys):
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(make_spec().to_dict()))
    args = ["--data", str(corpus_dir), "--out", str(tmp_path / "out")]
    assert main([str(tmp_path / "spec.yaml"), *args]) == 0
    assert '"status": "finished"' in capsys.readouterr().out


def test_a_chain_needs_room_to_warm_up_again(make_spec):
    chain = ScheduleSpec(warmup_share=0.2, scheme="wsd-s")
    message = (
        r"horizons 1280 and 1664 are too close for schedule.scheme 'wsd-s': 4 steps of warm-up must "
        r"fit between their cooldowns, 1 do \(space them wider, or use scheme 'branch'\)"
    )
    with pytest.raises(ValueError, match=message):
        make_spec(horizons=(1280, 1664), schedule=chain)
    make_spec(horizons=(1280, 1920), schedule=chain)


def test_a_chain_has_no_end_phase(make_spec):
    with pytest.raises(ValueError, match=r"data.cooldown_mixture needs schedule.scheme 'branch'"):
        make_spec(
            schedule=ScheduleSpec(scheme="wsd-s"), data={"cooldown_mixture": (("docs", 1.0),)}
        )


def test_the_command_refuses_a_folder_that_is_a_file_or_holds_a_damaged_result(
    make_spec, corpus_dir, tmp_path, capsys
):
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(make_spec().to_dict()))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").write_text('{"status": "fin')
    for out, said in (("spec.yaml", "is a file"), ("run", "result.json is not a run's result")):
        args = ["--data", str(corpus_dir), "--out", str(tmp_path / out)]
        assert main([str(tmp_path / "spec.yaml"), *args]) == 2
        assert said in capsys.readouterr().err
