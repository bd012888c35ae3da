"""The answer for a budget, whichever method gave it, and how far it may be trusted."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitting.errors import Note

Array = NDArray[np.float64]

LEVEL = 0.9
Z90 = 1.6449  # normal quantile of the central 90 %
SUPPORTED = 1.05  # times beyond the measured compute, up or down: still inside
TOO_FAR = 1e4  # times beyond the measured compute: nobody has checked such extrapolations
TOO_WIDE = 100.0  # high / low of N*


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A value with its 90 % interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recommendation:
    """What to train on `flops`. `loss` is a prediction interval for one run, not a confidence one."""

    flops: float
    n_params: float
    n_tokens: float
    loss: Estimate
    interval_n_params: tuple[float, float]
    interval_n_tokens: tuple[float, float]
    # Every N that costs at most 2 % more compute for the same loss; None: not known.
    flat_band: tuple[float, float] | None
    verdict: str
    method: str
    extrapolation: float  # flops / largest measured flops
    warnings: tuple[Note, ...] = ()
    train_flops: float = 0.0
    details: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON as DESIGN.md section 5 has it, without `cost`, which the caller adds."""
        return {
            "flops": self.flops,
            "train_flops": self.train_flops or self.flops,
            "n_params": self.n_params,
            "n_tokens": self.n_tokens,
            "tokens_per_param": self.n_tokens / self.n_params,
            "loss": self.loss.to_dict(),
            "intervals": {
                "n_params": list(self.interval_n_params),
                "n_tokens": list(self.interval_n_tokens),
            },
            "flat_band": {"n_params": self.flat_band and list(self.flat_band)},
            "verdict": self.verdict,
            "method": self.method,
            "extrapolation": self.extrapolation,
            "warnings": [n.to_dict() for n in self.warnings],
            **({"details": self.details} if self.details else {}),
        }


def widened(point: float, interval: tuple[float, float], extra: float) -> tuple[float, float]:
    """An interval (in logs) with an independent error of half-width `extra` added to each side."""
    low, high = interval
    return (
        point - float(np.hypot(max(point - low, 0.0), extra)),
        point + float(np.hypot(max(high - point, 0.0), extra)),
    )


def beyond(flops: float, measured: tuple[float, float]) -> float:
    """How far outside the least and the largest measured compute, in ln C; 0 between them."""
    return float(np.log(max(measured[0] / flops, flops / measured[1], 1.0)))


def judge(
    flops: float, measured: tuple[float, float], interval_n: tuple[float, float], *, inside: bool
) -> tuple[str, list[Note]]:
    """Verdict and its reasons; `measured` is the least and the largest compute of a run [FLOP]."""
    width = interval_n[1] / interval_n[0]
    if not np.isfinite(width) or width > TOO_WIDE:
        return "refused", [Note("interval_too_wide", (
            f"the 90 % interval of N* spans a factor {width:.3g} at {flops:.3g} FLOP: these "
            "measurements do not determine the optimum (add budgets, or sizes around the minima)"))]  # fmt: skip
    return judge_range(flops, measured, inside=inside)


def judge_range(
    flops: float, measured: tuple[float, float], *, inside: bool
) -> tuple[str, list[Note]]:
    """Verdict and its reasons by the distance from what was measured alone."""
    factor, (low, high) = float(np.exp(beyond(flops, measured))), measured
    end = f"the largest measured compute ({high:.3g})" if flops > high else f"the least measured compute ({low:.3g})"  # fmt: skip
    times = f"{flops:.3g} FLOP is {flops / (high if flops > high else low):.3g} times {end}"
    if factor > TOO_FAR:
        remedy = f"up to {flops / TOO_FAR:.2g}" if flops > high else f"down to {flops * TOO_FAR:.2g}"  # fmt: skip
        return "refused", [Note("too_far", (
            f"{times}; beyond {TOO_FAR:.0g} times no fit is supported (measure {remedy} FLOP)"))]  # fmt: skip
    if factor <= SUPPORTED and inside:
        return "supported", []
    return "extrapolated", [Note("extrapolated", (
        times if factor > SUPPORTED
        else "the optimum lies outside the measured sizes, token counts or epochs"))]  # fmt: skip
