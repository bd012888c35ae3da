import pytest
import torch

from fitting.costs.tables import load_tables
from trainer.execution import (
    Execution,
    can_compile,
    choose_execution,
    compile_pays,
    eager_flop_s,
    probed_precision,
)


def test_a_resumed_run_goes_on_as_it_began(make_spec):
    began = {"execution": {"precision": "bf16", "compiled": False}}
    made = choose_execution(make_spec(), "cpu", "always", resumed=began)
    assert (made.precision, made.compiled) == ("bf16", False)


def test_compilation_is_for_long_runs_only(make_spec):
    assert not compile_pays(make_spec(), "cpu")
    long = make_spec(horizons=(64 * 10**8,), data={"max_epochs": 1e9})
    assert compile_pays(long, "cpu")


def test_a_core_is_as_fast_as_it_was_measured_by_size():
    # reports/LOG.md, 2026-11-21: 53k, 46k, 29k tokens/s eager; the price table's rows
    rows = load_tables().constants["small_models"].values()
    for row in rows:
        assert eager_flop_s(row["n_params"]) == pytest.approx(row["low"], rel=0.2)
    assert eager_flop_s(1e9) == 7e10


@pytest.mark.parametrize(
    "model", [{"family": "lstm", "n_head": 1}, {"family": "moe", "n_expert": 2, "top_k": 1}]
)
def test_families_with_changing_graphs_are_never_compiled(make_spec, model):
    made = choose_execution(make_spec(model=model), "cpu", "always", resumed=None)
    assert not made.compiled


def test_the_probe_names_a_precision_that_the_run_records(make_spec):
    assert probed_precision("cpu") in ("fp32", "bf16")
    made = choose_execution(make_spec(precision="auto"), "cpu", "never", resumed=None)
    assert made.precision == probed_precision("cpu")


def test_autocast_is_on_for_bf16_only():
    a = torch.ones(2, 2)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with Execution(device="cpu", precision=precision, compiled=False).autocast():
            assert (a @ a).dtype == dtype


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


def test_nothing_is_compiled_where_a_path_has_a_space(monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/my runs/compiled")
    assert not can_compile()
