"""Published scaling laws, to answer before any sweep of one's own.

    L = E + A/N^alpha + B/D^beta      C = 6 N D + 2 N D_inf
    repeated data: D' = U + U R_D (1 - exp(-(D/U - 1)/R_D)), and N' likewise beyond N*(U)

Sources: in tables/laws.toml; repeated data: Muennighoff et al. 2023, arXiv:2305.16264.
"""

import math
from dataclasses import dataclass
from typing import Any

from fitting.costs.flops import n_tokens_for
from fitting.costs.tables import Tables, load_tables
from fitting.errors import InputError, Note, RefusalError
from fitting.recommendation import judge_range

_GOLDEN = (math.sqrt(5) - 1) / 2
_GRID, _REACH = 400, 25.0  # coarse search in ln N around the middle, then golden section


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What a law says to train. Intervals are None where the law was published without them."""

    n_params: float
    n_tokens: float
    loss: float
    loss_interval: tuple[float, float] | None = None
    interval_n_params: tuple[float, float] | None = None
    interval_n_tokens: tuple[float, float] | None = None
    verdict: str = "extrapolated"
    notes: tuple[Note, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "n_params": self.n_params,
            "n_tokens": self.n_tokens,
            "tokens_per_param": self.n_tokens / self.n_params,
            "loss": {"value": self.loss, **_ends(self.loss_interval)},
            "intervals": {
                "n_params": self.interval_n_params and list(self.interval_n_params),
                "n_tokens": self.interval_n_tokens and list(self.interval_n_tokens),
            },
            "verdict": self.verdict,
            "warnings": [n.to_dict() for n in self.notes],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedLaw:
    """Full-precision coefficients of a paper; nats per token of its own tokenizer."""

    id: str
    E: float
    A: float
    B: float
    alpha: float
    beta: float
    rd_star: float  # of arXiv:2305.16264 where the law has none of its own
    rn_star: float
    own_repetition: bool
    max_epochs: float  # of the runs that rd_star comes from
    min_flops: float  # of the smallest and the largest run it was fitted to
    max_flops: float
    source: str

    @property
    def closed_form(self) -> tuple[str, dict[str, float]]:
        """The law's name in `fitting.laws.registry`, and its coefficients."""
        names = ("E", "A", "B", "alpha", "beta")
        return "chinchilla", {name: getattr(self, name) for name in names}

    def loss(self, N: float, D: float, unique_tokens: float | None = None) -> float:
        """L [nats/token]; tokens beyond `unique_tokens` repeat, parameters too many for them idle."""
        if unique_tokens is not None:
            N, D = self._effective(N, D, min(unique_tokens, D))
        return float(self.E + self.A * N**-self.alpha + self.B * D**-self.beta)

    def optimum(self, flops: float) -> tuple[float, float]:
        """(N*, D*), closed form: Hoffmann et al. 2022, arXiv:2203.15556 eq. 4."""
        both = self.alpha + self.beta
        G = (self.alpha * self.A / (self.beta * self.B)) ** (1 / both)
        N = G * (flops / 6) ** (self.beta / both)
        return N, n_tokens_for(flops, N)

    def choose(
        self, flops: float, *, inference_tokens: float = 0.0, unique_tokens: float | None = None
    ) -> Choice:
        """Least loss at a budget for training and serving together.

        Raises:
            InputError: a count that cannot be meant.
            RefusalError: serving alone costs more than the budget at every size.
        """
        _check(flops, inference_tokens, unique_tokens)
        N, D = self.optimum(flops)
        if inference_tokens or (unique_tokens is not None and unique_tokens < D):
            N, D = self._search(flops, inference_tokens, unique_tokens)
        epochs = D / unique_tokens if unique_tokens is not None else 1.0
        verdict, reasons = judge_range(
            flops, (self.min_flops, self.max_flops), inside=epochs <= self.max_epochs
        )
        return Choice(
            n_params=N,
            n_tokens=D,
            loss=self.loss(N, D, unique_tokens),
            verdict=verdict,
            notes=(*reasons, *self._notes(epochs, unique_tokens)),
        )

    def _search(self, flops: float, served: float, unique: float | None) -> tuple[float, float]:
        def tokens(log_n: float) -> float:
            return n_tokens_for(flops, math.exp(log_n)) - served / 3

        def cost(log_n: float) -> float:
            D = tokens(log_n)
            return self.loss(math.exp(log_n), D, unique) if D > 0 else math.inf

        middle = math.log(self.optimum(flops)[0])
        grid = [middle + _REACH * (2 * i / _GRID - 1) for i in range(_GRID + 1)]
        best = min(range(len(grid)), key=lambda i: cost(grid[i]))
        log_n = _golden(cost, grid[max(best - 1, 0)], grid[min(best + 1, _GRID)])
        if tokens(log_n) <= 0:
            raise RefusalError(
                f"serving {served:.3g} tokens leaves nothing of {flops:.3g} FLOP to train with",
                code="serving_exceeds_budget",
            )
        return math.exp(log_n), tokens(log_n)

    def _effective(self, N: float, D: float, U: float) -> tuple[float, float]:
        worth = U + U * self.rd_star * (1 - math.exp(-(D / U - 1) / self.rd_star))
        enough = min(self._params_for(U), N)
        extra = N / enough - 1
        return enough + enough * self.rn_star * (1 - math.exp(-extra / self.rn_star)), worth

    def _params_for(self, D: float) -> float:
        """N whose compute-optimal number of tokens is D."""
        both = self.alpha + self.beta
        G = (self.alpha * self.A / (self.beta * self.B)) ** (1 / both)
        return float((D * G) ** (self.beta / self.alpha) * G)  # D = (C/6)^(alpha/both) / G

    def _notes(self, epochs: float, unique: float | None) -> tuple[Note, ...]:
        notes = [
            Note("published_law", f"{self.id}: its tokenizer and data, not yours; no interval")
        ]
        if epochs > 1:
            message = f"{epochs:.3g} epochs of {unique:.3g} unique tokens"
            borrowed = (
                "" if self.own_repetition else "; decay of repeated data from arXiv:2305.16264"
            )
            beyond = (
                f"; the most that were measured are {self.max_epochs:.3g}"
                if epochs > self.max_epochs
                else ""
            )
            notes.append(Note("repeated_data", message + borrowed + beyond))
        return tuple(notes)


def published_law(name: str, tables: Tables | None = None) -> PublishedLaw:
    """A law of tables/laws.toml. Raises InputError with the known names."""
    laws = (tables or load_tables()).laws
    if name not in laws:
        raise InputError(f"law must be one of {sorted(laws)}; got {name!r}", field="law")
    row, repeated = laws[name], laws["muennighoff"]
    return PublishedLaw(
        id=name,
        **{k: row[k] for k in ("E", "A", "B", "alpha", "beta", "min_flops", "max_flops")},
        max_epochs=row.get("max_epochs", repeated["max_epochs"]),
        rd_star=row.get("rd_star", repeated["rd_star"]),
        rn_star=row.get("rn_star", repeated["rn_star"]),
        own_repetition="rd_star" in row,
        source=f"{row['source']} ({row['as_of']})",
    )


def _golden(cost: Any, low: float, high: float) -> float:
    """Least point of a unimodal function to 1e-10 in ln N."""
    while high - low > 1e-10:
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, b) if cost(a) <= cost(b) else (a, high)
    return (low + high) / 2


def _ends(interval: tuple[float, float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {"low": low, "high": high}


def _check(flops: float, served: float, unique: float | None) -> None:
    if not 0 < flops < math.inf:
        raise InputError(f"flops must be positive and finite; got {flops}", field="flops")
    if not 0 <= served < math.inf:
        message = f"inference_tokens must be finite and not negative; got {served}"
        raise InputError(message, field="inference_tokens")
    if unique is not None and not 0 < unique < math.inf:
        message = f"unique_tokens must be positive and finite; got {unique}"
        raise InputError(message, field="unique_tokens")
