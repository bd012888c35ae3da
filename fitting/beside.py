"""Laws beside L(N, D), each as one JSON answer: coefficients, prediction, and its rollout.

The rollout holds out what lies furthest: the lowest losses, the largest models, the most compute,
the end of the run. Its error is the root mean square of (predicted - true) in the unit named.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitting.columns import Columns
from fitting.curves import CurveLaw, fit_curve
from fitting.downstream import fit_error, fit_sigmoid
from fitting.errors import InputError, Note, RefusalError
from fitting.fit import fit
from fitting.hyperparameters import MIN_CELLS, PUBLISHED, HyperLaw, Method, hyper_law
from fitting.measurements import Array, Measurements
from fitting.moe import fit_moe

HELD_SHARE = 0.2  # of points or runs
HELD_END = 0.3  # of a loss curve
MAX_STEPS = 10_000_000  # whose rates are kept and summed one by one: some seconds
Json = dict[str, Any]


def downstream(c: Columns, *, loss: float | None = None, N: float | None = None, D: float | None = None) -> Json:  # fmt: skip
    """Columns loss and accuracy (sigmoid) or error (exponential); with n_params, n_tokens two steps.

    Args:
        c: one row per model.
        loss: at which the score is asked for.
        N, D: of a planned model, whose loss an additive law of the same rows predicts first.

    Raises:
        InputError: neither accuracy nor error, or only one of N and D.
        RefusalError: too few rows.
    """
    score = next((name for name in ("accuracy", "error") if name in c), None)
    if score is None:
        raise InputError("column accuracy or error is missing: one of them is the score", field="accuracy")  # fmt: skip
    _check_asked(loss=loss)
    _check_asked(params=N, tokens=D)
    if N is not None and D is not None:
        loss = _loss_of(c, N, D)
    law, predict = _score_law(score, c["loss"], c[score])

    def held(rows: NDArray[np.intp], rest: NDArray[np.intp]) -> Array:
        again = _score_law(score, c["loss"][rest], c[score][rest])[1]
        return again(c["loss"][rows]) - c[score][rows]

    asked = None if loss is None else {"loss": loss, score: float(predict(np.array([loss]))[0])}
    notes = [] if asked is None else _score_notes(c["loss"], asked, score)
    return {"law": f"downstream {score}", "n_measurements": len(c["loss"]), "coefficients": law,
            "prediction": asked, "rollout": _rollout(-c["loss"], held, "lowest losses", score),
            "warnings": [note.to_dict() for note in notes]}  # fmt: skip


def _score_notes(measured: Array, asked: Json, score: str) -> list[Note]:
    low, high = float(measured.min()), float(measured.max())
    if low <= asked["loss"] <= high:
        return []
    impossible = f", and {asked[score]:.3g} is impossible" if asked[score] < 0 else ""
    return [Note("extrapolated", (
        f"loss {asked['loss']:.4g} lies outside the measured {low:.4g} to {high:.4g}: its {score} is "
        f"extrapolated{impossible}"))]  # fmt: skip


def _score_law(score: str, loss: Array, values: Array) -> tuple[Json, Callable[[Array], Array]]:
    if score == "accuracy":
        sigmoid = fit_sigmoid(loss, values)
        return asdict(sigmoid), sigmoid.accuracy
    error = fit_error(loss, values)
    return asdict(error), error.error


def _loss_of(c: Columns, N: float, D: float) -> float:
    if not {"n_params", "n_tokens"} <= c.keys():
        raise InputError("params and tokens need the columns n_params and n_tokens", field="n_params")  # fmt: skip
    columns = {name: c[name] for name in ("n_params", "n_tokens", "loss")}
    return float(fit(Measurements.from_columns(columns), delta="mad").predict(N, D))


def hyper(
    c: Columns, *, N: float | None = None, D: float | None = None, method: Method = "best",
    n_bootstrap: int = 1000, seed: int = 0,
) -> Json:  # fmt: skip
    """Columns n_params, n_tokens, lr, batch_tokens, loss: one row per run of a grid.

    Raises:
        InputError: only one of N and D.
        RefusalError: too few (N, D) have an optimum.
    """
    _check_asked(params=N, tokens=D)
    law = hyper_law(c, method=method, n_bootstrap=n_bootstrap, seed=seed)
    asked = None
    if N is not None and D is not None:
        asked = {"n_params": N, "n_tokens": D, "lr": float(law.lr(N, D)),
                 "batch_tokens": float(law.batch_tokens(D))}  # fmt: skip
    return {
        "law": "hyper", "n_measurements": len(c["loss"]), "coefficients": law.coefficients,
        "intervals": {k: list(v) for k, v in law.intervals.items()}, "published": PUBLISHED,
        "cells": [asdict(cell) for cell in law.cells], "dropped": list(law.dropped),
        "prediction": asked, "rollout": _hyper_rollout(c, law, method),
    }  # fmt: skip


def _hyper_rollout(c: Columns, law: HyperLaw, method: Method) -> Json:
    """Holds out the (N, D) of most compute."""
    cost = np.array([cell.n_params * cell.n_tokens for cell in law.cells])
    held = np.argsort(cost)[len(cost) - max(1, round(HELD_SHARE * len(cost))) :]
    if len(cost) - len(held) < MIN_CELLS:
        return {"reason": f"a rollout needs {MIN_CELLS + 1} combinations of N and D; got {len(cost)}"}  # fmt: skip
    rest = c["n_params"] * c["n_tokens"] < cost[held].min()
    try:
        seen = hyper_law({k: v[rest] for k, v in c.items()}, method=method, n_bootstrap=0)
    except RefusalError as e:
        return {"reason": str(e)}
    cells = [law.cells[i] for i in held]
    lr = [np.log(seen.lr(x.n_params, x.n_tokens) / x.lr) for x in cells]
    batch = [np.log(seen.batch_tokens(x.n_tokens) / x.batch_tokens) for x in cells]
    return {"held_out": "most compute", "n_held": len(cells), "unit": "ln lr", "rms": _rms(lr),
            "rms_log_batch": _rms(batch)}  # fmt: skip


def moe(c: Columns, *, N: float | None = None, n_experts: float | None = None) -> Json:
    """Columns n_params (of the dense base), n_experts, loss.

    Raises:
        InputError: only one of N and n_experts, or fewer than one expert.
        RefusalError: too few runs, sizes or expert counts.
    """
    _check_asked(params=N, experts=n_experts)
    for name, least in (("experts", n_experts), ("n_experts", float(c["n_experts"].min()))):
        if least is not None and least < 1:
            raise InputError(f"{name} must be at least 1, a dense model; got {least:g}", field=name)
    law = fit_moe(c)

    def held(rows: NDArray[np.intp], rest: NDArray[np.intp]) -> Array:
        seen = fit_moe({k: v[rest] for k, v in c.items()})
        return np.log(seen.loss(c["n_params"][rows], c["n_experts"][rows]) / c["loss"][rows])

    asked = None
    if N is not None and n_experts is not None:
        asked = {"n_params": N, "n_experts": n_experts, "loss": float(law.loss(N, n_experts)),
                 "effective_params": float(law.effective_params(N, n_experts))}  # fmt: skip
    return {"law": "moe", "n_measurements": len(c["loss"]), "coefficients": asdict(law),
            "prediction": asked, "rollout": _rollout(c["n_params"], held, "largest models", "ln L")}  # fmt: skip


def curve(c: Columns, *, decay: float) -> Json:
    """Columns step, lr, loss of one run: the schedule to its end, losses as far as it went.

    Rates between the rows are interpolated; losses before the rate's first maximum are left out.

    Raises:
        InputError: steps that are not increasing whole numbers from 1.
        RefusalError: too few observations.
    """
    if c["step"].max() > MAX_STEPS:
        raise InputError(f"step must be at most {MAX_STEPS:.0e}; got {c['step'].max():.6g} (tokens instead of steps?)", field="step")  # fmt: skip
    steps = c["step"].astype(int)
    if (steps != c["step"]).any() or steps[0] < 1 or (np.diff(steps) <= 0).any():
        raise InputError("step must increase from row to row in whole numbers from 1; got something else", field="step")  # fmt: skip
    rates = np.interp(np.arange(1, steps[-1] + 1), steps, c["lr"])
    used = np.isfinite(c["loss"]) & (steps > rates.argmax())
    at, loss = steps[used], c["loss"][used]
    law = fit_curve(rates, at, loss, decay=decay)
    return {
        "law": "curve", "n_measurements": len(at), "coefficients": asdict(law),
        "n_warmup": int((np.isfinite(c["loss"]) & ~used).sum()),
        "prediction": _end(law, rates), "rollout": _curve_rollout(rates, at, loss, decay),
    }  # fmt: skip


def _end(law: CurveLaw, rates: Array) -> Json:
    last = len(rates)
    try:
        return {"step": last, "loss": float(law.predict(rates, np.array([last]))[0])}
    except RefusalError as e:
        return {"step": last, "loss": None, "reason": str(e)}


def _curve_rollout(rates: Array, steps: Array, loss: Array, decay: float) -> Json:
    n = round((1 - HELD_END) * len(steps))
    try:
        seen = fit_curve(rates, steps[:n], loss[:n], decay=decay)
        errors = seen.predict(rates, steps[n:]) - loss[n:]
    except RefusalError as e:
        return {"reason": str(e)}
    return {"held_out": "end of the run", "n_held": len(steps) - n, "unit": "loss", "rms": _rms(errors)}  # fmt: skip


def _rollout(
    key: Array, errors: Callable[[NDArray[np.intp], NDArray[np.intp]], Array], what: str, unit: str
) -> Json:
    """Hold out the fifth with the largest `key`, whole values of it."""
    edge = np.sort(key)[-max(2, round(HELD_SHARE * len(key)))]
    held, rest = np.flatnonzero(key >= edge), np.flatnonzero(key < edge)
    try:
        found = errors(held, rest)
    except RefusalError as e:
        return {"reason": str(e)}
    return {"held_out": what, "n_held": len(held), "unit": unit, "rms": _rms(found)}


def _check_asked(**values: float | None) -> None:
    """All or none, and positive."""
    given = [v for v in values.values() if v is not None]
    if len(given) not in {0, len(values)}:
        raise InputError(f"{' and '.join(values)} belong together; got {values}", field=next(iter(values)))  # fmt: skip
    for name, value in values.items():
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"{name} must be finite and positive; got {value}", field=name)


def _rms(errors: Array | list[Array]) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))
