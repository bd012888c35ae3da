"""What one may ask for: a sweep as a person writes it in YAML or JSON.

`parse` is the only way in; what it lets through has the right keys, types and signs. What needs
the corpus or the prices to judge is checked by `sweeper.plan`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from fitting.errors import InputError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
BIGGEST = 2**63  # the first whole number that no database keeps
Count = Annotated[int, Field(gt=0, lt=BIGGEST)]
Seed = Annotated[int, Field(ge=0, lt=BIGGEST)]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # it becomes the name of a folder


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shape(_Strict):
    """An explicit architecture; what is left out follows `fitting.costs.architecture`."""

    n_layer: Annotated[int, Field(gt=0, le=10_000)]  # the deepest models have a few hundred
    d_model: Count
    n_head: Count = 1
    n_kv_head: int = Field(0, ge=0)
    d_head: int = Field(0, ge=0)
    d_ff: int = Field(0, ge=0)
    mlp: Literal["relu2", "gelu", "swiglu"] = "relu2"
    tied: bool = False
    qk_norm: bool = True
    window: int = Field(0, ge=0)
    n_expert: int = Field(0, ge=0)
    top_k: int = Field(0, ge=0)
    n_shared: int = Field(0, ge=0)


def _kind(size: Any) -> str:
    return "shape" if isinstance(size, dict | Shape) else "number"


# A number is N, mapped to a shape by `trainer.ladder`.
Size = Annotated[
    Annotated[Positive, Tag("number")] | Annotated[Shape, Tag("shape")], Discriminator(_kind)
]


class GridPoint(_Strict):
    """One model and the token counts at which it is measured."""

    size: Size
    tokens: Annotated[tuple[Positive, ...], Field(min_length=1)]


class Recipe(_Strict):
    """What to change in the trainer's recipe; nothing set means nothing changed."""

    lr: Positive | None = None
    batch_tokens: Count | None = None
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    beta2: Annotated[float, Field(gt=0, lt=1)] | None = None
    clip_norm: Positive | None = None
    z_loss: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    warmup_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    cooldown_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    scheme: Literal["branch", "wsd-s"] | None = None  # where a trunk goes on after a cooldown
    documents: Literal["packed", "masked"] | None = None  # masked: seen by their own tokens only
    eval_tokens: Count | None = None


class Limits(_Strict):
    """What the whole sweep may cost at most; a plan above any of them is refused."""

    flops: Positive | None = None
    usd: Positive | None = None
    hours: Positive | None = None  # device-hours


class SweepSpec(_Strict):
    """sizes × budgets, sizes × tokens, or an explicit grid."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    data: Annotated[str, Field(pattern=NAME, max_length=200)] = "default"  # a prepared corpus
    # A sweep that is over, whose points are fitted too. Below 2^31: PostgreSQL's INTEGER.
    extends: Annotated[int, Field(gt=0, lt=2**31)] | None = None
    family: Literal["transformer", "moe", "lstm", "gpt2"] = "transformer"
    context: Count = 128
    sizes: tuple[Size, ...] = ()
    budgets: tuple[Positive, ...] = ()  # FLOP: each size is measured at D = C / 6N
    tokens: tuple[Positive, ...] = ()  # each size is measured at each
    grid: tuple[GridPoint, ...] = ()
    share_trunks: bool = True  # one run per size, measured on the way; False: a run per point
    tokens_per_param: tuple[Positive, Positive] | None = None  # points outside are left out
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    # Runs that differ in seed or rate only are trained together, up to twice as fast below 200k
    # parameters on a core. Sums are taken in another order, which training amplifies: losses differ
    # from those of single runs by less than from those of another seed.
    stack: bool = False
    max_epochs: Positive = 1.0
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    priced_as: str | None = None  # device id of the price table; default: a core of this machine
    recipe: Recipe = Recipe()
    limits: Limits = Limits()

    @field_validator("name")
    @classmethod
    def _readable(cls, name: str) -> str:
        if not name.strip() or "\0" in name:
            raise ValueError(f"needs a character one can see, and no NUL; got {name!r}")
        return name

    @field_validator("seeds", "budgets", "tokens", "sizes")
    @classmethod
    def _no_repeats(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        twice = [v for i, v in enumerate(values) if v in values[:i]]
        if twice:
            raise ValueError(f"names {twice[0]} twice; each needs to be there once")
        return values

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        asked = [name for name in ("budgets", "tokens", "grid") if getattr(self, name)]
        if len(asked) != 1:
            raise ValueError(
                f"give exactly one of budgets, tokens and grid; got {' and '.join(asked) or 'none'}"
            )
        if bool(self.sizes) == bool(self.grid):
            raise ValueError("give sizes with budgets or tokens, and none with grid")
        low, high = self.tokens_per_param or (0, 1)
        if low >= high:
            raise ValueError(f"tokens_per_param must be [low, high]; got [{low:g}, {high:g}]")
        return self


def parse(value: Any) -> SweepSpec:
    """A sweep from plain JSON values.

    Raises:
        InputError: unknown key, wrong type, value out of range; names the field.
    """
    if not isinstance(value, dict):
        raise InputError(f"a sweep spec must be an object; got {type(value).__name__}")
    try:
        return SweepSpec.model_validate(value)
    except ValidationError as e:
        raise as_input_error(e) from e


def as_input_error(e: ValidationError) -> InputError:
    """The first complaint as one sentence: field, condition, value found."""
    first = e.errors(include_url=False)[0]
    path = ".".join(str(p) for p in first["loc"] if p not in ("number", "shape"))
    if first["type"] == "extra_forbidden":
        return InputError(f"unknown key {path!r}; {_known(first['loc'])}", field=path)
    if first["type"] == "missing":
        return InputError(f"missing key {path!r}", field=path)
    if first["type"] == "value_error":
        said = str(first["ctx"]["error"])
        return InputError(f"{path} {said}" if path else said, field=path)
    said = first["msg"].removeprefix("Input ")
    return InputError(f"{path} {said}; got {first['input']!r}", field=path)


def _known(loc: tuple[int | str, ...]) -> str:
    """Which keys there are where the unknown one stood."""
    inside: dict[str, type[BaseModel]] = {
        "recipe": Recipe, "limits": Limits, "grid": GridPoint, "sizes": Shape,
    }  # fmt: skip
    model = inside.get(str(loc[0]), SweepSpec) if len(loc) > 1 else SweepSpec
    if "shape" in loc:
        model = Shape
    return f"known keys are {', '.join(sorted(model.model_fields))}"
