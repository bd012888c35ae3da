import pytest
import torch

from fitting.errors import InputError
from trainer.job import run_job
from trainer.sample import main, sample
from trainer.weights import load_model


def test_a_finished_run_leaves_its_model(tmp_path, make_spec, corpus_dir):
    spec = make_spec()
    run_job(tmp_path, spec, corpus_dir)
    model, found = load_model(tmp_path)
    assert found == spec
    x = torch.zeros(1, 16, dtype=torch.int64)
    assert model(x).isfinite().all()
    a, b = (list(sample(model, [65], n_tokens=20, temperature=1.0, seed=3)) for _ in range(2))
    assert a == b
    cold = list(sample(model, [65], n_tokens=20, temperature=0, seed=3))
    assert cold == list(sample(model, [65], n_tokens=20, temperature=0, seed=4))


def test_the_command_continues_a_prompt(tmp_path, make_spec, corpus_dir, capsys):
    run_job(tmp_path, make_spec(), corpus_dir)
    args = [str(tmp_path), "--data", str(corpus_dir), "--prompt", "def f", "--tokens", "5"]
    assert main(args) == 0
    assert capsys.readouterr().out.startswith("def f")
    assert main([*args, "--temperature", "1e-6"]) == 0
    for bad in ("-1.0", "nan", "inf", "1e-45"):
        assert main([*args, "--temperature", bad]) == 2
        said = "temperature must be 0 (the likeliest) or at least 1e-06 and finite; got "
        assert said + bad in capsys.readouterr().err
    assert main([*args, "--seed", "99999999999999999999"]) == 2
    assert "seed must lie in [0, 18446744073709551616); got 9" in capsys.readouterr().err


def test_an_unfinished_run_has_no_model(tmp_path):
    with pytest.raises(InputError, match="has not reached its last horizon"):
        load_model(tmp_path)


def test_a_damaged_model_is_refused(tmp_path, make_spec, corpus_dir):
    run_job(tmp_path, make_spec(), corpus_dir)
    file = tmp_path / "model.safetensors"
    for damage in (file.read_bytes()[:-100], b"", b"\xff" * 100):
        file.write_bytes(damage)
        with pytest.raises(InputError, match=r"model.safetensors is not a model that was trained"):
            load_model(tmp_path)
