import subprocess
import sys

import pytest

from fitting.costs.tables import load_tables
from trainer.compiling import can_compile, compile_pays, eager_flop_s, is_compiled
from trainer.execution import choose_execution


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


def test_nothing_is_compiled_where_a_path_has_a_space(monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/my runs/compiled")
    assert not can_compile()


def test_what_is_foretold_is_what_the_trainer_decides(make_spec):
    for wanted in ("auto", "always", "never"):
        for n_tokens in (64 * 100, 64 * 10**8):
            spec = make_spec(horizons=(n_tokens,), data={"max_epochs": 1e9})
            made = choose_execution(spec, "cpu", wanted, resumed=None)
            assert made.compiled == is_compiled(spec, "cpu", wanted)


def test_the_question_does_not_load_torch():
    code = (
        "import sys; from trainer.compiling import can_compile; can_compile(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
