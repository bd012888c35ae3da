"""From one fitted law to what to train: N*, D*, loss with a prediction interval, flat band, verdict.

    C = 6 N D + 2 N D_inf     budget [FLOP], D_inf tokens to be served over the model's life

Sources: Hoffmann et al. 2022 (arXiv:2203.15556) eq. 4; with inference Sardana et al. 2023
(arXiv:2401.00448), whose least total compute at a loss is the least loss at a total compute.
"""

from contextlib import suppress
from typing import Any

import numpy as np

from fitting.bootstrap import interval
from fitting.checks import EPOCHS_FREE, check_signal
from fitting.errors import InputError, Note, RefusalError
from fitting.fit import fit
from fitting.fitted import Fit
from fitting.laws.numeric import REACH, minimum_along
from fitting.laws.protocol import ORIGIN, Array, Points
from fitting.measurements import Measurements
from fitting.recommendation import Z90, Estimate, Recommendation, beyond, judge, widened
from fitting.rollout import UNTESTED, Rollout, error_beyond, rollout, rollout_points

BAND = 0.02  # extra compute that counts as flat
N_GRID = 2001


def recommend(
    fitted: Fit,
    m: Measurements | None = None,
    *,
    flops: float,
    inference_tokens: float = 0.0,
    unique_tokens: float | None = None,
) -> Recommendation:
    """What to train.

    Args:
        fitted: a law with samples.
        m: what it was fitted to, for the rollout; None: no rollout, and a warning says so.
        flops: budget C for training and serving together [FLOP].
        inference_tokens: D_inf [tokens].
        unique_tokens: what the corpus holds [tokens]; None: as many as needed.

    Raises:
        InputError: a number that cannot be meant.
        RefusalError: the losses of `m` follow nothing, or the law has no optimum at that budget.
    """
    check_question(flops, inference_tokens, unique_tokens)
    if m is not None:
        check_signal(m)
    log_n, log_n_samples = _sizes(fitted, flops, inference_tokens, unique_tokens)
    if not np.isfinite(log_n):
        raise RefusalError(
            f"the {fitted.law} law has no optimum at {flops:.3g} FLOP", code="no_optimum"
        )
    lost = _lost(fitted, flops, log_n_samples)
    N = float(np.exp(log_n))
    D = (flops / N - 2 * inference_tokens) / 6
    rolled, notes = tested(fitted, m)
    low, high = np.exp(interval(log_n_samples))
    verdict, reasons = judge(flops, fitted.ranges["flops"], (low, high), inside=_inside(fitted, N, D))  # fmt: skip
    tokens = [(flops / n - 2 * inference_tokens) / 6 for n in (high, low)]
    return Recommendation(
        flops=flops, n_params=N, n_tokens=D, train_flops=6 * N * D,
        loss=predict(fitted, N, D, rolled=rolled, unique_tokens=unique_tokens),
        interval_n_params=(float(low), float(high)),
        interval_n_tokens=(float(max(tokens[0], 0)), float(tokens[1])),
        flat_band=flat_band(fitted, flops, N, inference_tokens, unique_tokens),
        verdict=verdict, method=fitted.law, extrapolation=flops / fitted.ranges["flops"][1],
        warnings=(*reasons, *lost, *notes, *repeated_data(fitted, D, unique_tokens)),
        details={"rollout": rolled.to_dict()} if rolled else None,
    )  # fmt: skip


def predict(
    fitted: Fit, N: float, D: float, *, rolled: Rollout | None, unique_tokens: float | None = None
) -> Estimate:
    """Loss of one run: sampling error, scatter of runs, and the rollout's error at that distance."""
    x = Points.at(N, D, unique_tokens)
    samples = fitted.law_object.log_loss(fitted.sample_theta, x)[0][:, 0]
    point = float(np.log(fitted.predict(N, D, unique_tokens)))
    distance = beyond(6 * N * D, fitted.ranges["flops"])
    extra = np.hypot(fitted.residual_sd, error_beyond(rolled, distance))
    low, high = widened(point, interval(samples), Z90 * float(extra))
    return Estimate(value=float(np.exp(point)), low=float(np.exp(low)), high=float(np.exp(high)))


def law_rollout(fitted: Fit, m: Measurements) -> Rollout:
    """Leave-the-largest-out with the same law and objective, by budgets where there are some.

    Runs that repeat their data are asked one by one: a budget's optimum is that of new data.
    """
    again: dict[str, Any] = {
        "law": fitted.law, "objective": fitted.objective, "delta": fitted.delta,
        "allow_undecayed": True,
    }  # fmt: skip

    def method(seen: Measurements) -> Any:
        found = fit(seen, **again)

        def at(flops: float) -> tuple[float, float]:
            N, D = found.optimum(flops)
            return float(np.log(N)), float(np.log(found.predict(N, D)))

        return at

    def points(seen: Measurements, held: Measurements) -> Array:
        return np.log(fit(seen, **again).predict(held.n_params, held.n_tokens, held.unique_tokens))

    repeats = m.unique_tokens is not None and (m.n_tokens > EPOCHS_FREE * m.unique_tokens).any()
    if not repeats:
        with suppress(RefusalError):
            return rollout(m, method)
    return rollout_points(m, points)


def flat_band(
    fitted: Fit, flops: float, N: float, inference_tokens: float, unique_tokens: float | None
) -> tuple[float, float]:
    """Every N that reaches the optimum's loss with at most 2 % more compute."""
    best = float(np.log(fitted.predict(N, (flops / N - 2 * inference_tokens) / 6, unique_tokens)))
    grid = N * np.exp(np.linspace(-6, 6, N_GRID))
    D = (flops * (1 + BAND) / grid - 2 * inference_tokens) / 6
    grid, D = grid[D > 0], D[D > 0]
    U = None if unique_tokens is None else np.full_like(grid, unique_tokens)
    loss = np.log(fitted.predict(grid, D, U))
    k = int(np.abs(grid - N).argmin())
    return float(grid[k - _reach(loss[k::-1], best)]), float(grid[k + _reach(loss[k:], best)])


def _reach(loss: Array, best: float) -> int:
    """Steps outward at most at `best`, and before a local law, far from the data, falls again."""
    peak = np.maximum.accumulate(loss)
    ends = (loss > best) | ((loss < peak) & (peak > loss[0]))
    return max(int(ends.argmax()) - 1, 0) if ends.any() else len(loss) - 1


def regret(fitted: Fit, flops: float, N: Any) -> Array:
    """Extra compute, relative, that each N needs to reach the optimum's loss; inf where it cannot."""
    best_n, best_d = fitted.optimum(flops)
    target = float(np.log(fitted.predict(best_n, best_d)))
    factors = np.geomspace(1, 1e4, 4001)
    out = []
    for n in np.atleast_1d(np.asarray(N, float)):
        f = np.log(fitted.predict(np.full_like(factors, n), flops * factors / (6 * n)))
        enough = np.flatnonzero(f <= target + 1e-12)
        out.append(factors[enough[0]] - 1 if enough.size else np.inf)
    return np.array(out)


def regrets(fitted: Fit, flops: float) -> list[dict[str, float]]:
    """Extra compute of sizes around the optimum; those that never reach its loss are left out."""
    N = float(fitted.optimum(flops)[0]) * np.array([0.25, 0.5, 0.71, 1.0, 1.41, 2.0, 4.0])
    extra = regret(fitted, flops, N)
    return [{"n_params": float(n), "extra_compute": float(x)} for n, x in zip(N, extra, strict=True)
            if np.isfinite(x)]  # fmt: skip


def _sizes(
    fitted: Fit, flops: float, inference_tokens: float, unique_tokens: float | None
) -> tuple[float, Array]:
    """ln N* and its samples."""
    if not inference_tokens and unique_tokens is None:
        return float(np.log(fitted.optimum(flops)[0])), fitted.optimum_samples(flops)[:, 0]
    middle = np.log(flops / 6) / 2
    grid = np.linspace(middle - REACH, middle + REACH, N_GRID)
    D = (flops / np.exp(grid) - 2 * inference_tokens) / 6
    n, d = grid[D > 0], np.log(D[D > 0])
    if len(n) < 3:  # serving leaves nothing
        return float("nan"), np.full(1, np.nan)
    law = fitted.law_object
    point = law.theta({k: np.array([v]) for k, v in fitted.coefficients.items()}, ORIGIN)
    both = np.concatenate([point, fitted.sample_theta])
    u = d if unique_tokens is None else np.minimum(d, np.log(unique_tokens))
    found = minimum_along(law, both, n, d, u, near=float(np.log(fitted.optimum(flops)[0])))
    return float(found[0]), found[1:]


def _lost(fitted: Fit, flops: float, log_n: Array) -> list[Note]:
    """Samples without an optimum are not in the interval of N*.

    Raises:
        RefusalError: `no_optimum`, where they are more than half.
    """
    n, n_lost = len(log_n), int((~np.isfinite(log_n)).sum())
    if not n_lost:
        return []
    text = f"{n_lost} of {n} resamples of the {fitted.law} law have no optimum at {flops:.3g} FLOP"
    if n_lost > n / 2:
        raise RefusalError(f"{text}: the measurements do not determine it (fit a law with fewer coefficients)", code="no_optimum")  # fmt: skip
    return [Note("samples_without_optimum", f"{text}, and are not in the interval of N*")]


def _inside(fitted: Fit, N: float, D: float) -> bool:
    def within(value: float, name: str) -> bool:
        low, high = fitted.ranges[name]
        return low / 1.5 <= value <= high * 1.5

    return within(N, "n_params") and within(D, "n_tokens")


def tested(fitted: Fit, m: Measurements | None) -> tuple[Rollout | None, list[Note]]:
    """What widens the loss's interval with distance; without it a note says why."""
    if m is None:
        return None, [_untested("the measurements are not at hand")]
    try:
        found = law_rollout(fitted, m)
    except RefusalError as e:
        return None, [_untested(str(e))]
    if np.isfinite(found.rms):
        return found, []
    why = f"without the largest budgets the {fitted.law} law has no optimum at them"
    return None, [_untested(why)]


def _untested(why: str) -> Note:
    return Note("no_rollout", (
        f"the extrapolation could not be tested: {why}; the interval of the loss assumes an error "
        f"of {100 * UNTESTED:.1g} % per factor e of compute, as published ones had"))  # fmt: skip


def repeated_data(fitted: Fit, D: float, unique_tokens: float | None) -> list[Note]:
    """What a law that knows nothing of repetition leaves out of D tokens [tokens]."""
    if unique_tokens is None or unique_tokens >= D or fitted.law == "muennighoff":
        return []
    epochs = D / unique_tokens
    worth = (
        "nearly as good as new data" if epochs <= EPOCHS_FREE else "worth much less than new data"
    )
    return [Note("repeated_data", f"{D:.3g} tokens are {epochs:.3g} epochs of {unique_tokens:.3g} unique "
                 f"tokens, {worth}; the {fitted.law} law does not know (fit muennighoff)")]  # fmt: skip


def check_question(flops: float, inference_tokens: float, unique_tokens: float | None) -> None:
    """Raises InputError: a number that cannot be meant."""
    if not (np.isfinite(flops) and flops > 0):
        raise InputError(f"flops must be finite and positive; got {flops}", field="flops")
    if not (np.isfinite(inference_tokens) and inference_tokens >= 0):
        raise InputError(f"inference_tokens must not be negative; got {inference_tokens}", field="inference_tokens")  # fmt: skip
    if unique_tokens is not None and not (np.isfinite(unique_tokens) and unique_tokens > 0):
        raise InputError(f"unique_tokens must be positive; got {unique_tokens}", field="unique_tokens")  # fmt: skip
