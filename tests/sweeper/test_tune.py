import pytest

from fitting.costs.architecture import Architecture
from fitting.errors import InputError
from sweeper.tune import furthest, search, variant
from trainer.config import DataSpec, OptimizerSpec, RunSpec
from trainer.data.prepare import prepare


def _spec(fingerprint="x"):
    return RunSpec(
        model=Architecture(n_layer=1, d_model=16, n_head=1, vocab_size=256, context=16),
        data=DataSpec(fingerprint=fingerprint, max_epochs=100.0),
        horizons=(64 * 80,),
        batch_tokens=64,
        optimizer=OptimizerSpec(lr=0.01),
        seed=0,
        eval_tokens=256,
    )


def test_a_variant_is_measured_at_every_rung():
    made = variant(_spec(), 0.02, 128, 3)
    assert made.horizons == (1280, 2560, 5120)
    assert (made.optimizer.lr, made.batch_tokens) == (0.02, 128)
    assert made.model == _spec().model


def test_a_batch_that_makes_no_run_is_refused():
    with pytest.raises(
        InputError, match=r"lr 0.02, batch_tokens 100: batch_tokens must be a multiple"
    ):
        variant(_spec(), 0.02, 100, 3)


def test_a_search_without_values_is_refused(tmp_path):
    with pytest.raises(InputError, match="must each name a value; got none"):
        search(_spec(), tmp_path, lrs=[], batch_tokens=[64], storage=tmp_path)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_ray_tune_stops_the_worse_rates_early(tmp_path):
    import ray

    from sweeper.ray_worker import runtime_env

    (tmp_path / "text").mkdir()
    for i in range(60):
        (tmp_path / "text" / f"{i}.txt").write_text(f"line {i} of a small text\n" * 20)
    manifest = prepare(tmp_path / "corpus", [tmp_path / "text"], val_share=0.2)
    (tmp_path / "tune").mkdir()
    with ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False,
                  runtime_env=runtime_env({})):  # fmt: skip
        trials = search(
            _spec(manifest.fingerprint),
            tmp_path / "corpus",
            lrs=[1e-5, 3e-3, 1e-2],
            batch_tokens=[64, 128],
            storage=tmp_path / "tune",
        )
        with pytest.raises(InputError, match="cuda where Ray has a GPU; got 'cuda' and 0 GPUs"):
            search(_spec(), tmp_path, lrs=[1e-2], batch_tokens=[64], storage=tmp_path,
                   device="cuda")  # fmt: skip
    assert [t.n_tokens for t in trials].count(1280) == 6  # every pair has its first rung
    last = furthest(trials)
    assert len(last) == 6
    assert last[0] == trials[0]
    assert last[0].lr > 1e-5
    assert last[0].n_tokens == 5120
    assert min(t.n_tokens for t in last) < 5120
