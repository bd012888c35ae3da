"""How far approach 2 is off without any noise: parabolas fitted to curves that are none.

The relative error of N* depends only on the exponents, the half-width of the sizes and their
number: in z = ln(N/N*) an isoFLOP curve of the additive law is beta e^(-alpha z) + alpha e^(beta z)
up to scale, and its least-squares parabola has its vertex off zero by the same amount at every
budget. Slopes survive, N* does not. Source of the problem: arXiv:2603.22339.
"""

import numpy as np

from fitting.isoflop import Array, IsoFlop, PowerLaw, budgets
from fitting.laws.chinchilla import Chinchilla
from fitting.laws.protocol import ORIGIN, Points
from fitting.measurements import Measurements


def vertex_bias(alpha: float, beta: float, half_width: float, n_sizes: int = 9) -> float:
    """Relative error of approach 2's N* on noiseless sizes spread evenly by x/ half_width.

    Args:
        alpha, beta: exponents of the additive law.
        half_width: largest size over the optimum, such as 4.
        n_sizes: per budget, evenly spaced in ln N and centred on the optimum.
    """
    z = np.linspace(-np.log(half_width), np.log(half_width), n_sizes)
    curve = beta * np.exp(-alpha * z) + alpha * np.exp(beta * z)
    c2, c1, _ = np.polyfit(z, curve, 2)
    return float(np.expm1(-c1 / (2 * c2)))


def design_bias(m: Measurements, law: dict[str, float]) -> tuple[Array, Array]:
    """ln(C) and the bias of ln N* of each budget of this actual design under this law, (K,)."""
    theta = Chinchilla().theta({k: np.array([v]) for k, v in law.items()}, ORIGIN)
    C, bias = [], []
    for b in budgets(m):
        log_n = np.log(m.n_params[b.rows])
        d = np.log(b.flops / 6) - log_n
        loss = np.exp(Chinchilla().log_loss(theta, Points(n=log_n, d=d, u=d))[0][0])
        mid = log_n.mean()
        c2, c1, _ = np.polyfit(log_n - mid, loss, 2)
        truth = Chinchilla().log_optimum(theta, np.array([b.flops]))[0, 0]
        C.append(np.log(b.flops))
        bias.append(mid - c1 / (2 * c2) - truth if c2 > 0 else np.nan)
    return np.array(C), np.array(bias)


def corrected(found: IsoFlop, m: Measurements, law: dict[str, float]) -> PowerLaw:
    """Approach 2's N*(C) with the bias of its own design under `law` taken off each minimum."""
    log_c, bias = design_bias(m, law)
    known = dict(zip(np.round(log_c, 9), bias, strict=True))
    good = [q for q in found.minima if not q.reason]
    x = np.array([np.log(q.flops) for q in good])
    y = np.array([np.log(q.n_params) - known[np.round(np.log(q.flops), 9)] for q in good])
    ok = np.isfinite(y)
    slope, intercept = np.polyfit(x[ok], y[ok], 1)
    return PowerLaw(intercept=float(intercept), slope=float(slope))
