"""Learning rate and batch size by search on a small model: Ray Tune with successive halving.

Only translation lives here: a trial is `trainer.train` on one run spec, reported at each of its
horizons, where ASHA (Li et al. 2018, arXiv:1810.05934) stops the worse part.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from fitting.errors import InputError
from trainer.config import RunSpec
from trainer.data.corpus import Corpus
from trainer.execution import choose_execution
from trainer.session import open_session
from trainer.train import Measured, train

_WORST = 1e9  # what a loss that is not finite counts as; Ray Tune compares numbers


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A rung that a trial reached and the loss it had there: what a law of rates is fitted to."""

    lr: float
    batch_tokens: int
    n_params: int
    n_tokens: int
    loss: float | None  # nats/token, of a cooled-down branch; None: it diverged or failed

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
    device: str = "auto",
) -> list[Trial]:
    """Every pair of rate and batch from `spec`; the worse half stops at each rung.

    Rungs are branches at n_tokens, n_tokens/2, n_tokens/4 …, so that losses are compared decayed.

    Returns:
        All rungs of all trials, the longest first and the best of these before others.

    Args:
        spec: the model, data and tokens; its rate, batch and horizons are replaced.
        n_rungs: evaluations of a trial that is never stopped.
        storage: an existing folder for Ray Tune's own files.
        device: "cpu", or "cuda" for a GPU per trial; "auto": cuda where Ray knows of a GPU.

    Raises:
        InputError: an empty list, a batch that makes no run of this spec, or a device that is not
            there.
    """
    specs = {(lr, batch): variant(spec, lr, batch, n_rungs) for lr in lrs for batch in batch_tokens}
    if not specs:
        raise InputError("lrs and batch_tokens must each name a value; got none", field="lrs")
    tuner = _tuner(
        specs, data_dir, n_rungs=n_rungs, storage=storage, n_concurrent=n_concurrent,
        device=_device(device),
    )  # fmt: skip
    found = tuner.fit()
    trials = [
        trial
        for result in (found[i] for i in range(len(found)))
        for trial in _trials(specs[(result.config or {})["pair"]], result)
    ]
    return sorted(trials, key=lambda t: (-t.n_tokens, _WORST if t.loss is None else t.loss))


def furthest(trials: Sequence[Trial]) -> list[Trial]:
    """Each pair's last rung, in the order given."""
    last = {(t.lr, t.batch_tokens): t for t in sorted(trials, key=lambda t: t.n_tokens)}
    return [t for t in trials if t is last[t.lr, t.batch_tokens]]


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
    device: str,
) -> tune.Tuner:
    plain = {pair: s.to_dict() for pair, s in specs.items()}
    trainable = tune.with_parameters(
        _run_trial, specs=plain, data_dir=str(data_dir.absolute()), device=device
    )
    scheduler = ASHAScheduler(
        time_attr="rung", grace_period=1, max_t=n_rungs, reduction_factor=2, brackets=1
    )
    return tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1, "gpu": int(device == "cuda")}),
        param_space={"pair": tune.grid_search(list(specs))},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", scheduler=scheduler, max_concurrent_trials=n_concurrent
        ),
        run_config=tune.RunConfig(name="tune", storage_path=str(storage.absolute()), verbose=0),
    )


def _device(wanted: str) -> str:
    """Where trials run, by what Ray's machines have."""
    n_gpus = ray.cluster_resources().get("GPU", 0)  # type: ignore[no-untyped-call]
    if wanted not in ("auto", "cpu", "cuda") or (wanted == "cuda" and n_gpus < 1):
        raise InputError(
            f"device must be auto or cpu, or cuda where Ray has a GPU; got {wanted!r} and "
            f"{n_gpus:g} GPUs",
            field="device",
        )
    return "cuda" if wanted == "cuda" or (wanted == "auto" and n_gpus >= 1) else "cpu"


def _run_trial(config: dict[str, Any], *, specs: Any, data_dir: str, device: str) -> None:
    """One trial, on a worker. A loss that is not finite counts as the worst."""
    spec = RunSpec.from_dict(specs[tuple(config["pair"])])
    corpus = Corpus(Path(data_dir), spec.data, context=spec.model.context)
    # Trials of one shape are short: none is worth compiling, precision is chosen as in a sweep.
    session = open_session(spec, corpus, choose_execution(spec, device, "never", resumed=None))
    rung = 0
    for event in train(session):
        if isinstance(event, Measured):
            rung += 1
            loss = event.evaluation.loss
            tune.report(
                {
                    "loss": loss if math.isfinite(loss) else _WORST,
                    "n_tokens": event.horizon,
                    "rung": rung,
                }
            )


def _trials(spec: RunSpec, result: tune.Result) -> list[Trial]:
    """Every rung; of a trial that failed before its first, that alone."""
    reports = result.metrics_dataframe
    found = [] if reports is None else reports[["n_tokens", "loss"]].to_numpy().tolist()
    return [
        Trial(
            lr=spec.optimizer.lr,
            batch_tokens=spec.batch_tokens,
            n_params=spec.model.n_params,
            n_tokens=int(n_tokens),
            loss=float(loss) if loss < _WORST else None,
        )
        for n_tokens, loss in found or [[0, _WORST]]
    ]
