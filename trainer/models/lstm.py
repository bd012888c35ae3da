"""A stack of LSTM layers with residual branches: the comparison with the transformer.

Hochreiter and Schmidhuber 1997; gates (input, forget, cell, output) as in torch. One bias per gate:
the second one that torch's own module allocates adds nothing. The state starts at zero in every
window, so the model sees no more context than a transformer.
"""

import torch
from torch import Tensor, nn

from fitting.costs.architecture import Architecture
from trainer.models.layers import RMSNorm


class Layer(nn.Module):
    zero: Tensor

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        d = arch.d_model
        self.norm = RMSNorm(d)
        self.w_input = nn.Parameter(torch.empty(4 * d, d))
        self.w_recurrent = nn.Parameter(torch.empty(4 * d, d))
        self.bias = nn.Parameter(torch.zeros(4 * d))
        self.register_buffer("zero", torch.zeros(4 * d), persistent=False)
        with torch.no_grad():
            self.bias[d : 2 * d] = 1.0  # remember at first (Jozefowicz et al. 2015)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """torch's fused recurrence: ten times the speed of the same steps written out."""
        x_BTD = self.norm(x_BTD)
        h_1BD = x_BTD.new_zeros(1, x_BTD.shape[0], x_BTD.shape[2])
        weights = [self.w_input, self.w_recurrent, self.bias, self.zero]
        # in order: has_biases, num_layers, dropout, train, bidirectional, batch_first
        flags = (True, 1, 0.0, True, False, True)
        return torch.lstm(x_BTD, (h_1BD, h_1BD), weights, *flags)[0]


class Lstm(nn.Module):
    """x_BTD of embedded tokens → normalised x_BTD, and no auxiliary loss."""

    def __init__(self, arch: Architecture, residual: float) -> None:
        super().__init__()
        self.residual = residual
        self.layers = nn.ModuleList(Layer(arch) for _ in range(arch.n_layer))
        self.norm = RMSNorm(arch.d_model)

    def forward(self, x_BTD: Tensor) -> tuple[Tensor, Tensor | None]:
        for layer in self.layers:
            x_BTD = torch.add(x_BTD, layer(x_BTD), alpha=self.residual)
        return self.norm(x_BTD), None
