"""A law fitted to one's own runs, in the form the question asks for."""

from dataclasses import dataclass

from fitting.costs.published import Choice
from fitting.errors import Note
from fitting.fit import Fit
from fitting.measurements import Measurements
from fitting.recommend import recommend


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedLaw:
    """`measurements` widen the interval by the rollout's error; None: they do not."""

    fit: Fit
    measurements: Measurements | None = None

    @property
    def source(self) -> str:
        n = len(self.measurements) if self.measurements is not None else "unknown"
        return f"{self.fit.law} law fitted to {n} measurements ({self.fit.objective})"

    @property
    def closed_form(self) -> tuple[str, dict[str, float]]:
        return self.fit.law, dict(self.fit.coefficients)

    def choose(
        self, flops: float, *, inference_tokens: float = 0.0, unique_tokens: float | None = None
    ) -> Choice:
        """`fitting.recommend.recommend`, with the intervals it gives."""
        found = recommend(
            self.fit,
            self.measurements,
            flops=flops,
            inference_tokens=inference_tokens,
            unique_tokens=unique_tokens,
        )
        return Choice(
            n_params=found.n_params,
            n_tokens=found.n_tokens,
            loss=found.loss.value,
            loss_interval=(found.loss.low, found.loss.high),
            interval_n_params=found.interval_n_params,
            interval_n_tokens=found.interval_n_tokens,
            verdict=found.verdict,
            notes=tuple(Note(n.code, n.message) for n in found.warnings),
        )
