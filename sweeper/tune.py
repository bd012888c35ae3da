"""Learning rate and batch size by search on a small model: Ray Tune with successive halving.

Only translation lives here: a trial is `trainer.train` on one run spec, reported at each of its
horizons, where ASHA (Li et al. 2018, arXiv:1810.05934) stops the worse part.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler

from fitting.errors import InputError
from trainer.config import RunSpec
from trainer.data.corpus import Corpus
from trainer.execution import Execution
from trainer.session import open_session
from trainer.train import Measured, train


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """How far a trial came and the loss it had there."""

    lr: float
    batch_tokens: int
    n_params: int
    n_tokens: int
    loss: float  # nats/token, of a cooled-down branch

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def search(
    spec: RunSpec,
    data_dir: Path,
    *,
    lrs: Sequence[float],
    batch_tokens: Sequence[int],
    n_rungs: int = 3,
    storage: Path,
    n_concurrent: int = 1,
) -> list[Trial]:
    """Every pair of rate and batch from `spec`, best first; the worse half stops at each rung.

    Rungs are branches at n_tokens, n_tokens/2, n_tokens/4 …, so that losses are compared decayed.

    Args:
        spec: the model, data and tokens; its rate, batch and horizons are replaced.
        n_rungs: evaluations of a trial that is never stopped.
        storage: an existing folder for Ray Tune's own files.

    Raises:
        InputError: an empty list, or a batch that makes no run of this spec.
    """
    specs = {(lr, batch): variant(spec, lr, batch, n_rungs) for lr in lrs for batch in batch_tokens}
    if not specs:
        raise InputError("lrs and batch_tokens must each name a value; got none", field="lrs")
    tuner = _tuner(specs, data_dir, n_rungs=n_rungs, storage=storage, n_concurrent=n_concurrent)
    found = tuner.fit()
    trials = [
        _trial(specs[(result.config or {})["pair"]], result.metrics)
        for result in (found[i] for i in range(len(found)))
    ]
    return sorted(trials, key=lambda t: (-t.n_tokens, t.loss))


def variant(spec: RunSpec, lr: float, batch_tokens: int, n_rungs: int) -> RunSpec:
    """`spec` with this rate and batch, and a horizon at each rung, in whole steps."""
    wanted = [spec.n_tokens / 2**i for i in range(n_rungs)]
    horizons = sorted({max(1, round(n / batch_tokens)) * batch_tokens for n in wanted})
    try:
        return replace(
            spec,
            optimizer=replace(spec.optimizer, lr=lr),
            batch_tokens=batch_tokens,
            horizons=tuple(horizons),
        )
    except ValueError as e:
        raise InputError(
            f"lr {lr:g}, batch_tokens {batch_tokens}: {e}", field="batch_tokens"
        ) from e


def _tuner(
    specs: Mapping[tuple[float, int], RunSpec],
    data_dir: Path,
    *,
    n_rungs: int,
    storage: Path,
    n_concurrent: int,
) -> tune.Tuner:
    plain = {pair: s.to_dict() for pair, s in specs.items()}
    trainable = tune.with_parameters(_run_trial, specs=plain, data_dir=str(data_dir.absolute()))
    scheduler = ASHAScheduler(
        time_attr="rung", grace_period=1, max_t=n_rungs, reduction_factor=2, brackets=1
    )
    return tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"pair": tune.grid_search(list(specs))},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", scheduler=scheduler, max_concurrent_trials=n_concurrent
        ),
        run_config=tune.RunConfig(name="tune", storage_path=str(storage.absolute()), verbose=0),
    )


def _run_trial(config: dict[str, Any], *, specs: Any, data_dir: str) -> None:
    """One trial, on a worker. A loss that is not finite counts as the worst."""
    spec = RunSpec.from_dict(specs[tuple(config["pair"])])
    corpus = Corpus(Path(data_dir), spec.data, context=spec.model.context)
    session = open_session(spec, corpus, Execution(device="cpu", precision="fp32", compiled=False))
    rung = 0
    for event in train(session):
        if isinstance(event, Measured):
            rung += 1
            loss = event.evaluation.loss
            tune.report(
                {
                    "loss": loss if math.isfinite(loss) else 1e9,
                    "n_tokens": event.horizon,
                    "rung": rung,
                }
            )


def _trial(spec: RunSpec, metrics: Mapping[str, Any] | None) -> Trial:
    got = metrics or {}
    return Trial(
        lr=spec.optimizer.lr,
        batch_tokens=spec.batch_tokens,
        n_params=spec.model.n_params,
        n_tokens=int(got.get("n_tokens", 0)),
        loss=float(got.get("loss", 1e9)),
    )
