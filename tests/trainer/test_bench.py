import json

import pytest

from trainer import bench


def test_the_bench_measures_every_configuration(tmp_path, capsys):
    out = tmp_path / "speed.json"
    args = ["--shapes", "20k", "--members", "1,2", "--seconds", "0.01", "--peak-flop-s", "1e12",
            "--json", str(out)]  # fmt: skip
    assert bench.main(args) == 0
    rows = json.loads(out.read_text())
    assert [(r["precision"], r["n_members"]) for r in rows] == [
        ("fp32", 1), ("fp32", 2), ("bf16", 1), ("bf16", 2),
    ]  # fmt: skip
    assert all(0 < r["mfu"] < 1 and r["tok_s"] > 0 and r["memory_mb"] > 0 for r in rows)
    assert capsys.readouterr().out.count("tok/s") == 4


def test_a_packing_counts_the_tokens_of_all_its_members(monkeypatch):
    monkeypatch.setattr(bench, "_seconds", lambda *_: 0.5)
    how = bench.Execution(device="cpu", precision="fp32", compiled=False)
    one, three = (bench.measure("20k", how, seconds=0, n_members=n) for n in (1, 3))
    assert one.tok_s == one.batch_tokens / 0.5
    assert (three.tok_s, three.flop_s) == (3 * one.tok_s, 3 * one.flop_s)


@pytest.mark.parametrize(("name", "low", "high"), [("33k", 32e3, 34e3), ("124M", 120e6, 128e6)])
def test_a_size_is_a_shape_of_the_ladder(name, low, high):
    arch, n_windows = bench.shape_of(name)
    assert low < arch.n_params < high
    assert n_windows > 1


def test_what_is_asked_wrongly_is_told_in_one_line(capsys):
    for args, text in (
        (["--device", "cuda:9"], "error: device must be 'auto' or one of"),
        (["--shapes", "foo"], "error: shapes must be a number such as 405e9 or 405B; got 'foo'"),
        (["--device", "cpu", "--graph"], "error: graph records the step of one run on a CUDA"),
    ):
        assert bench.main(args) == 2
        assert text in capsys.readouterr().err
    for args, text in (
        (["--members", "0"], "argument --members: must be whole numbers from 1 up; got '0'"),
        (["--precision", "fp8"], "argument --precision: must be of fp32, bf16; got 'fp8'"),
    ):
        with pytest.raises(SystemExit, match="2"):
            bench.main(args)
        assert text in capsys.readouterr().err
