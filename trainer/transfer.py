"""CompleteP: how initial values, rates, decay and epsilon follow from width and depth. No torch.

Dey et al. 2025, arXiv:2505.01618, table 1 with alpha = 1. m_N = d_model / base_width,
m_L = n_layer / base_depth. One base learning rate then serves every size.
"""

from dataclasses import dataclass

from fitting.costs.architecture import Architecture
from trainer.config import OptimizerSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Multipliers of one kind of parameter: on lr, on weight decay, on epsilon."""

    lr: float = 1.0
    weight_decay: float = 0.0
    eps: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """`residual` scales every residual branch, `logits` the output; groups by kind."""

    residual: float
    logits: float
    embedding: Group
    hidden: Group
    head: Group
    vector: Group


def transfer(arch: Architecture, optimizer: OptimizerSpec) -> Transfer:
    """Multipliers for `arch`. With transfer "none" all are 1: one rate for every size.

    Weight decay applies to matrices of the blocks and the head, not to embeddings and vectors.
    """
    m_N = arch.d_model / optimizer.base_width if optimizer.transfer == "completep" else 1.0
    m_L = arch.n_layer / optimizer.base_depth if optimizer.transfer == "completep" else 1.0
    return Transfer(
        residual=1 / m_L,
        logits=1 / m_N,
        embedding=Group(eps=1 / m_N),
        hidden=Group(lr=1 / m_N, weight_decay=m_N, eps=1 / (m_N * m_L)),
        head=Group(weight_decay=1.0),
        vector=Group(eps=1 / (m_N * m_L)),
    )
