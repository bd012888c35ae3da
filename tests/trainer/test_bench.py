import json

from trainer import bench


def test_the_bench_measures_every_configuration(tmp_path, capsys):
    out = tmp_path / "speed.json"
    args = ["--shapes", "20k", "--seconds", "0.01", "--peak-flop-s", "1e12", "--json", str(out)]
    assert bench.main(args) == 0
    rows = json.loads(out.read_text())
    assert [r["precision"] for r in rows] == ["fp32", "bf16"]
    assert all(0 < r["mfu"] < 1 and r["tok_s"] > 0 and r["memory_mb"] > 0 for r in rows)
    assert capsys.readouterr().out.count("tok/s") == 2


def test_a_device_that_is_not_there_is_told_in_one_line(capsys):
    assert bench.main(["--device", "cuda:9"]) == 2
    assert "error: device must be 'auto' or one of" in capsys.readouterr().err
