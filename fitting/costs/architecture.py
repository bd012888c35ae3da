"""Shape of a model and its closed-form counts: the one definition of N.

Pure Python, no torch: the planner, the web process and the trainer all import it.

    L n_layer    d d_model    H n_head    H_kv n_kv_head    d_h d_head    f d_ff
    V vocab_size    T context    w attention span in tokens

Formulas: Kaplan et al. 2020 (arXiv:2001.08361), PaLM appendix B (arXiv:2204.02311).
"""

from dataclasses import dataclass
from typing import Literal

Family = Literal["transformer", "moe", "lstm", "gpt2"]
Mlp = Literal["relu2", "gelu", "swiglu"]
FAMILIES: tuple[str, ...] = ("transformer", "moe", "lstm", "gpt2")
MLPS: tuple[str, ...] = ("relu2", "gelu", "swiglu")


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """Every field changes what is computed. `0` means "derived", see `__post_init__`."""

    family: Family = "transformer"
    n_layer: int
    d_model: int
    vocab_size: int
    context: int  # T, tokens
    n_head: int = 1
    n_kv_head: int = 0  # 0: as many as n_head
    d_head: int = 0  # 0: d_model / n_head
    d_ff: int = 0  # 0: 4 d_model (8/3 d_model rounded up to 8 when gated)
    mlp: Mlp = "relu2"
    tied: bool = False  # head shares the embedding's weights; it still multiplies
    qk_norm: bool = True
    window: int = 0  # 0: full causal attention
    n_expert: int = 0  # MoE only, as are the next two
    top_k: int = 0
    n_shared: int = 0

    def __post_init__(self) -> None:
        self._check_choices()
        derived = {
            "n_kv_head": self.n_kv_head or self.n_head,
            "d_head": self.d_head or self._default_d_head(),
            "d_ff": self.d_ff or self._default_d_ff(),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        self._check_shape()

    def _default_d_head(self) -> int:
        if self.family != "lstm" and self.d_model % self.n_head:
            raise ValueError(
                f"d_model must be a multiple of n_head; got {self.d_model} and {self.n_head} "
                f"(give d_head, or a width such as {self.n_head * (self.d_model // self.n_head)})"
            )
        return self.d_model // self.n_head

    def _default_d_ff(self) -> int:
        return -(-8 * self.d_model // 24) * 8 if self.gated else 4 * self.d_model

    def _check_choices(self) -> None:
        for name, allowed in (("family", FAMILIES), ("mlp", MLPS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}; got {getattr(self, name)!r}")
        for name in ("n_layer", "d_model", "vocab_size", "context", "n_head"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        for name in ("n_kv_head", "d_head", "d_ff", "window", "n_expert", "top_k", "n_shared"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative; got {getattr(self, name)}")

    def _check_shape(self) -> None:
        if self.n_head % self.n_kv_head:
            raise ValueError(
                f"n_head must be a multiple of n_kv_head; got {self.n_head} and {self.n_kv_head}"
            )
        if (self.family == "moe") != (self.n_expert > 0):
            raise ValueError(
                f"n_expert belongs to family 'moe'; got {self.n_expert} with {self.family!r}"
            )
        if self.family == "moe" and not 1 <= self.top_k <= self.n_expert:
            raise ValueError(f"top_k must lie in [1, {self.n_expert}]; got {self.top_k}")

    @property
    def gated(self) -> bool:
        return self.mlp == "swiglu"

    # -- counts [params] ---------------------------------------------------------------

    @property
    def n_attention(self) -> int:
        """Attention matrices of one layer: d d_h (2 H + 2 H_kv)."""
        return self.d_model * self.d_head * (2 * self.n_head + 2 * self.n_kv_head)

    @property
    def n_mlp(self) -> int:
        """One MLP, or one expert: 3 d f gated, 2 d f plain."""
        return (3 if self.gated else 2) * self.d_model * self.d_ff

    @property
    def n_block(self) -> int:
        """Matrices of one layer, as stored."""
        if self.family == "lstm":
            return 8 * self.d_model**2  # four gates, input and recurrent
        if self.family == "moe":
            router = self.d_model * self.n_expert
            return self.n_attention + (self.n_expert + self.n_shared) * self.n_mlp + router
        return self.n_attention + self.n_mlp

    @property
    def n_block_active(self) -> int:
        """Matrices of one layer that a token meets."""
        if self.family != "moe":
            return self.n_block
        return self.n_block - (self.n_expert - self.top_k) * self.n_mlp

    @property
    def n_head_params(self) -> int:
        """The output head, d V. It multiplies whether its weights are tied or not."""
        return self.d_model * self.vocab_size

    @property
    def n_params(self) -> int:
        """N of the scaling law: every weight that multiplies each token [params].

        Blocks and output head; for a mixture of experts the active ones. The input embedding
        is a lookup, norms and biases are vectors: neither counts.
        """
        return self.n_layer * self.n_block_active + self.n_head_params

    @property
    def n_params_non_embedding(self) -> int:
        """Kaplan's N: the blocks' matrices alone (active ones)."""
        return self.n_layer * self.n_block_active

    @property
    def n_embedding(self) -> int:
        """Input lookup, and GPT-2's learned positions."""
        positions = self.context * self.d_model if self.family == "gpt2" else 0
        return self.vocab_size * self.d_model + positions

    @property
    def n_vectors(self) -> int:
        """Norm gains and biases."""
        d, per_layer = self.d_model, 2 * self.d_model
        if self.family == "lstm":
            return self.n_layer * (4 * d + d) + d  # one bias per gate, one norm per layer
        if self.family == "gpt2":  # LayerNorm has gain and bias; every matrix but the head a bias
            qkvo = self.d_head * (self.n_head + 2 * self.n_kv_head) + d
            return self.n_layer * (2 * per_layer + qkvo + self.d_ff + d) + 2 * d
        return self.n_layer * (per_layer + (2 * self.d_head if self.qk_norm else 0)) + d

    @property
    def n_params_total(self) -> int:
        """What torch allocates: all experts, embedding, vectors; a tied head once."""
        head = 0 if self.tied else self.n_head_params
        return self.n_layer * self.n_block + head + self.n_embedding + self.n_vectors

    # -- compute [FLOP per token] ------------------------------------------------------

    def attention_flops(self, *, causal: bool = False) -> float:
        """Scores and their weighted sum, forward and backward: 12 L H d_h w per token.

        w = T by the usual MFU convention, T/2 when `causal`, min(window, T) when sliding.
        """
        if self.family == "lstm":
            return 0.0
        span: float = min(self.window or self.context, self.context)
        if causal and span == self.context:
            span /= 2
        return 12.0 * self.n_layer * self.n_head * self.d_head * span

    def train_flops_per_token(self, *, causal: bool = False) -> float:
        """Exact training FLOP per token, 6 N_matmul + attention; forward alone is a third."""
        return 6.0 * self.n_params + self.attention_flops(causal=causal)
