"""What must hold before a law is fitted; each refusal says which data would answer."""

import numpy as np
from scipy.special import fdtrc

from fitting.errors import RefusalError
from fitting.measurements import Array, Measurements

EPOCHS_FREE = 4  # Muennighoff et al. 2023: up to four epochs are nearly as good as new data
MIN_FRESH = 8  # runs: more than a law has coefficients
CHANCE = 0.005  # of losses without a law to look as if they had one, for each of two tests
SAME = 1e-3  # sizes or token counts closer than this (relative) are one


def check(m: Measurements, n_coefficients: int, *, allow_undecayed: bool = False) -> None:
    """Refuse data that cannot determine a law with so many coefficients.

    Raises:
        RefusalError: codes `undecayed`, `too_few_points`, `single_size`, `single_horizon`,
            `constant_ratio`, `equal_losses`.
    """
    if m.decayed is not None and not m.decayed.all() and not allow_undecayed:
        n = int((~m.decayed).sum())
        _refuse("undecayed", f"{n} of {len(m)} measurements were taken before the learning rate had "
                "decayed; only decayed losses lie on a law (drop them, or allow undecayed rows)")  # fmt: skip
    if len(m) <= n_coefficients:
        _refuse("too_few_points", f"{n_coefficients} coefficients need at least "
                f"{n_coefficients + 1} measurements; got {len(m)}")  # fmt: skip
    check_spread(m)


def check_spread(m: Measurements) -> None:
    """Refuse a design without spread in N, in D, or in D/N, and losses that do not differ."""
    n_sizes, n_horizons = n_distinct(m.n_params), n_distinct(m.n_tokens)
    if n_sizes < 3:
        _refuse("single_size", f"a law in N needs at least 3 model sizes; got {n_sizes}")
    if n_horizons < 3:
        _refuse("single_horizon", f"a law in D needs at least 3 token counts; got {n_horizons}")
    if np.ptp(np.log(m.loss)) < 1e-9:
        _refuse("equal_losses", f"all {len(m)} losses equal {m.loss[0]:.6g}: nothing to fit")
    if np.std(np.log(m.n_tokens / m.n_params)) < 0.05:
        ratio = float(np.exp(np.mean(np.log(m.n_tokens / m.n_params))))
        _refuse("constant_ratio", f"all runs have nearly the same D/N ({ratio:.3g}): the N term and "
                "the D term cannot be told apart; add runs at other ratios, such as a quarter and "
                "four times as many tokens")  # fmt: skip


def check_signal(m: Measurements) -> None:
    """Refuse losses that neither fall with compute nor have a valley in N/D beyond their scatter.

    An F-test of a + b c + k v + q v^2 with c = ln N D and v = ln(N/D)/2 against a constant, on ln L
    and on its ranks, which bad runs do not move (Conover and Iman 1981, The American Statistician
    35, 124). Published sweeps and simulated ones of 20 runs have p < 1e-12.

    Raises:
        RefusalError: `no_signal`.
    """
    log_n, log_d = np.log(m.n_params), np.log(m.n_tokens)
    c, v = log_n + log_d, (log_n - log_d) / 2
    v = v - v.mean()
    y = np.log(m.loss)
    X = np.stack([c, v, v * v], axis=1)
    p = min(_p_value(X, y), _p_value(X, np.unique(y, return_inverse=True)[1].astype(float)))
    if p > CHANCE:
        _refuse("no_signal", f"the losses neither fall with compute nor have a valley in N beyond "
                f"their scatter (p = {p:.2g}): nothing to extrapolate (add budgets further apart, "
                "or check what was measured)")  # fmt: skip


def _p_value(X: Array, y: Array) -> float:
    """Of an F-test of the columns of X (R, P) against a constant; 0 where no residual is left."""
    X, y = X - X.mean(axis=0), y - y.mean()
    u, size, _ = np.linalg.svd(X, full_matrices=False)
    u = u[:, size > SAME * size[0]]
    rank, explained = u.shape[1], float(np.sum((y @ u) ** 2))
    left, total = len(y) - 1 - rank, float(y @ y)
    if left < 1 or explained >= total:
        return 0.0
    return float(fdtrc(rank, left, explained / rank / ((total - explained) / left)))


def without_repetition(m: Measurements) -> Measurements:
    """The runs of at most `EPOCHS_FREE` epochs, where they can be fitted alone; otherwise all."""
    if m.unique_tokens is None:
        return m
    fresh = m.n_tokens <= EPOCHS_FREE * m.unique_tokens
    if fresh.all() or fresh.sum() < MIN_FRESH:
        return m
    left = m.select(fresh)
    try:
        check_spread(left)
    except RefusalError:
        return m
    return left


def n_distinct(values: Array) -> int:
    """How many values differ by more than `SAME`."""
    logs = np.sort(np.log(values))
    return 1 + int((np.diff(logs) > SAME).sum())


def _refuse(code: str, message: str) -> None:
    raise RefusalError(message, code=code)
