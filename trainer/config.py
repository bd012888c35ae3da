"""What a run is. No torch here: the web process and the planner import this module.

A `RunSpec` holds everything that decides a run's outcome and nothing that does not; its
`fingerprint()` is the run's identity, and the same spec is never trained twice.
"""

import hashlib
import itertools
import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from fitting.costs.architecture import Architecture
from fitting.costs.flops import train_flops
from trainer.values import N_SEEDS, build, in_range, one_of, positive

Documents = Literal["packed", "masked"]
Scheme = Literal["branch", "wsd-s"]
Transfer = Literal["completep", "none"]
Precision = Literal["auto", "fp32", "bf16"]  # auto: the faster, probed once, recorded


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerSpec:
    """AdamW. With `transfer="completep"` `lr` is the rate at `base_width` and `base_depth`,
    and the rates of a wider or deeper model follow from it (arXiv:2505.01618)."""

    lr: float
    name: Literal["adamw"] = "adamw"
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    z_loss: float = 0.0
    transfer: Transfer = "completep"
    base_width: int = 64
    base_depth: int = 4

    def __post_init__(self) -> None:
        one_of(self, "optimizer", "name", ("adamw",))
        one_of(self, "optimizer", "transfer", ("completep", "none"))
        positive(self, "optimizer", "lr", "eps", "clip_norm", "base_width", "base_depth")
        in_range(self, "optimizer", 1, "beta1", "beta2")
        in_range(self, "optimizer", math.inf, "weight_decay", "z_loss")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleSpec:
    """Warm up, stay, cool down at each horizon.

    Scheme "branch": the trunk never cools, a branch at each horizon does and is thrown away.
    Scheme "wsd-s": the trunk goes on from the cooled-down weights, warmed up again to the constant
    rate (Wen et al. 2024, arXiv:2410.05192); no token is spent on branches, but each measurement
    after the first depends on the cooldowns before it.
    """

    warmup_share: float = 0.02  # of the first horizon's tokens
    cooldown_share: float = 0.2  # of each horizon's tokens
    cooldown: Literal["1-sqrt", "linear"] = "1-sqrt"
    scheme: Scheme = "branch"

    def __post_init__(self) -> None:
        one_of(self, "schedule", "cooldown", ("1-sqrt", "linear"))
        one_of(self, "schedule", "scheme", ("branch", "wsd-s"))
        for name in ("warmup_share", "cooldown_share"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(
                    f"schedule.{name} must lie in (0, 1); got {getattr(self, name)} (a percentage?)"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSpec:
    """Which tokens. `fingerprint` is the prepared corpus's, from its manifest."""

    fingerprint: str
    mixture: tuple[tuple[str, float], ...] = ()  # (domain, weight); empty: as the corpus is
    cooldown_mixture: tuple[tuple[str, float], ...] = ()  # of branches: the high-quality end phase
    max_epochs: float = 1.0  # how often a token may repeat, asked for explicitly
    # Packed: a token sees its window, whatever stands there. Masked: its own document only.
    documents: Documents = "packed"

    def __post_init__(self) -> None:
        positive(self, "data", "max_epochs")
        one_of(self, "data", "documents", ("packed", "masked"))
        for name in ("mixture", "cooldown_mixture"):
            mixture = getattr(self, name)
            if not all(0 < weight < math.inf for _, weight in mixture):
                raise ValueError(f"data.{name} weights must be positive and finite; got {mixture}")
            if len(dict(mixture)) < len(mixture):
                raise ValueError(f"data.{name} must name each domain once; got {mixture}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSpec:
    """One training job: a trunk, and a cooled-down, evaluated branch at each horizon."""

    model: Architecture
    data: DataSpec
    horizons: tuple[int, ...]  # tokens, increasing; one measurement each
    batch_tokens: int  # a multiple of model.context
    optimizer: OptimizerSpec
    schedule: ScheduleSpec = field(default_factory=ScheduleSpec)
    seed: int
    precision: Precision = "fp32"
    eval_tokens: int = 131_072  # fixed held-out tokens

    def __post_init__(self) -> None:
        if self.batch_tokens < 1 or self.batch_tokens % self.model.context:
            raise ValueError(
                f"batch_tokens must be a multiple of model.context; got {self.batch_tokens} and "
                f"{self.model.context}"
            )
        if not self.horizons or list(self.horizons) != sorted(set(self.horizons)):
            raise ValueError(
                f"horizons must be increasing token counts, at least one; got {self.horizons}"
            )
        short = [h for h in self.horizons if h % self.batch_tokens or h < 10 * self.batch_tokens]
        if short:
            raise ValueError(
                f"horizons must be multiples of batch_tokens={self.batch_tokens} and at least 10 "
                f"steps long; got {short}"
            )
        one_of(self, "", "precision", ("auto", "fp32", "bf16"))
        positive(self, "", "eval_tokens")
        in_range(self, "", N_SEEDS, "seed")
        if self.schedule.scheme == "wsd-s":
            self._check_chain()

    def _check_chain(self) -> None:
        """Between two cooldowns the rate must come back to its level."""
        for before, after in itertools.pairwise(self.horizons):
            room = self.cooldown_start(after) - before // self.batch_tokens
            if room < self.warmup_steps:
                raise ValueError(
                    f"horizons {before} and {after} are too close for schedule.scheme 'wsd-s': "
                    f"{self.warmup_steps} steps of warm-up must fit between their cooldowns, "
                    f"{max(0, room)} do (space them wider, or use scheme 'branch')"
                )
        if self.data.cooldown_mixture:
            raise ValueError(
                "data.cooldown_mixture needs schedule.scheme 'branch'; with 'wsd-s' the trunk would "
                "go on from weights that have seen the end phase"
            )

    @property
    def n_tokens(self) -> int:
        """Tokens of the trunk: the last horizon."""
        return self.horizons[-1]

    @property
    def n_tokens_processed(self) -> int:
        """Tokens trained on in all, by the schedule's scheme."""
        return self.tokens_by_scheme()[self.schedule.scheme]

    def tokens_by_scheme(self) -> dict[str, int]:
        """What measuring at these horizons takes [tokens]: one trunk and a cooldown for each, one
        chain through them all, or a separate run for each."""
        cool = sum(h // self.batch_tokens - self.cooldown_start(h) for h in self.horizons)
        return {
            "branch": (self.cooldown_start(self.n_tokens) + cool) * self.batch_tokens,
            "wsd-s": self.n_tokens,
            "separate": sum(self.horizons),
        }

    @property
    def warmup_steps(self) -> int:
        """At the start, and after each cooldown of a chain."""
        return max(1, round(self.horizons[0] / self.batch_tokens * self.schedule.warmup_share))

    def cooldown_start(self, horizon: int) -> int:
        """Step at which the cooldown to `horizon` [tokens] starts; at least one step cools."""
        last = horizon // self.batch_tokens
        return last - max(1, round(last * self.schedule.cooldown_share))

    @property
    def flops(self) -> float:
        """C of the whole job, branches included [FLOP]: what it costs, not a law's abscissa."""
        return train_flops(self.model.n_params, self.n_tokens_processed)

    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        """Raises ValueError: unknown key, missing key, or a value out of range, by its path."""
        return build(cls, d, path="run")
