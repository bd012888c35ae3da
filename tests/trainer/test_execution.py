from functools import partial

import pytest
import torch

from trainer.compiling import can_compile
from trainer.execution import (
    Execution,
    choose_execution,
    compile_blocks,
    compile_if,
    probed_precision,
)
from trainer.models.lm import build


def test_a_resumed_run_goes_on_as_it_began(make_spec):
    began = {"execution": {"precision": "bf16", "compiled": False}}
    made = choose_execution(make_spec(), "cpu", "always", resumed=began)
    assert (made.precision, made.compiled) == ("bf16", False)


def test_the_probe_names_a_precision_that_the_run_records(make_spec):
    assert probed_precision("cpu") in ("fp32", "bf16")
    made = choose_execution(make_spec(precision="auto"), "cpu", "never", resumed=None)
    assert made.precision == probed_precision("cpu")


def test_autocast_is_on_for_bf16_only():
    a = torch.ones(2, 2)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with Execution(device="cpu", precision=precision, compiled=False).autocast():
            assert (a @ a).dtype == dtype


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on importing dynamo
def test_a_warm_worker_compiles_its_twentieth_run_too(monkeypatch):
    from torch._dynamo import config

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))

    def losses_of(width):
        return lambda x: x.sum() * width

    with config.patch(fail_on_recompile_limit_hit=True):
        for width in range(20):
            compiled = compile_if(losses_of(width), wanted=True)
            assert compiled(torch.ones(width + 1)).item() == width * (width + 1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on importing dynamo
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # which dynamo hides, but not as an error
def test_twelve_blocks_are_compiled_once_and_evaluated_as_they_are(monkeypatch, make_spec):
    from torch._dynamo import config
    from torch._dynamo.utils import counters

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    spec = make_spec(model={"n_layer": 12, "d_model": 16})
    model = build(spec.model, spec.optimizer, seed=0)
    windows = [torch.randint(64, (b, spec.model.context + 1)) for b in (2, 3)]
    plain = model.losses(windows[0])[0].item()
    compile_blocks(model)
    counters.clear()
    with config.patch(fail_on_recompile_limit_hit=True):
        assert model.losses(windows[0])[0].item() == pytest.approx(plain, rel=1e-6)
        with torch.no_grad():
            model.window_losses(windows[1])
    assert counters["stats"]["unique_graphs"] == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on importing inductor
def test_a_compiled_run_is_the_run_within_float_noise(tmp_path, make_spec, corpus_dir):
    from trainer.job import run_job

    if not can_compile():
        pytest.skip("no C++ compiler")
    spec = make_spec()
    eager = run_job(tmp_path / "eager", spec, corpus_dir, compile="never")
    compiled = run_job(tmp_path / "compiled", spec, corpus_dir, compile="always")
    assert compiled.compiled
    for a, b in zip(eager.measurements, compiled.measurements, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4)
