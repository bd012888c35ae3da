"""CompleteP: activations move as much in wide and deep models as in small ones."""

import json
import math

import pytest

from fitting.costs.architecture import Architecture
from trainer.config import OptimizerSpec
from trainer.coordinates import main, moved
from trainer.transfer import transfer


def _moved(d_model: int, n_layer: int, kind: str) -> tuple[float, float]:
    arch = Architecture(
        n_layer=n_layer, d_model=d_model, n_head=d_model // 16, vocab_size=64, context=16
    )
    spec = OptimizerSpec(lr=0.01, transfer=kind, base_width=32, base_depth=2)  # type: ignore[arg-type]
    found = moved(arch, spec)
    return found["features"], found["logits"]


@pytest.mark.parametrize(("d_model", "n_layer"), [(128, 2), (256, 2), (32, 8), (128, 8)])
def test_coordinates_move_alike_at_every_width_and_depth(d_model, n_layer):
    base = _moved(32, 2, "completep")
    other = _moved(d_model, n_layer, "completep")
    for a, b in zip(base, other, strict=True):
        assert abs(math.log2(b / a)) < 1.0  # within a factor of two over 16 times the parameters


def test_without_transfer_they_do_not():
    base, other = _moved(32, 2, "none"), _moved(256, 8, "none")
    assert max(abs(math.log2(b / a)) for a, b in zip(base, other, strict=True)) > 1.5


def test_the_multipliers_are_those_of_the_paper():
    arch = Architecture(n_layer=8, d_model=256, vocab_size=64, context=16)
    t = transfer(arch, OptimizerSpec(lr=1.0, base_width=64, base_depth=4))  # m_N = 4, m_L = 2
    assert (t.residual, t.logits) == (1 / 2, 1 / 4)
    assert (t.hidden.lr, t.hidden.weight_decay, t.hidden.eps) == (1 / 4, 4.0, 1 / 8)
    assert (t.embedding.lr, t.embedding.eps) == (1.0, 1 / 4)
    assert (t.head.lr, t.vector.lr) == (1.0, 1.0)


def test_at_the_base_shape_nothing_changes():
    arch = Architecture(n_layer=4, d_model=64, vocab_size=64, context=16)
    plain = transfer(arch, OptimizerSpec(lr=1.0, transfer="none"))
    assert transfer(arch, OptimizerSpec(lr=1.0, base_width=64, base_depth=4)) == plain


def test_the_coordinate_check_is_a_table_of_widths_and_depths(capsys):
    sizes = ("--widths", "32,64", "--depths", "2,4")
    assert main([*sizes, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(r["n_layer"], r["d_model"]) for r in rows] == [(2, 32), (2, 64), (4, 32), (4, 64)]
    assert rows[0]["logits"] == pytest.approx(_moved(32, 2, "completep")[1])
    main(sizes)
    assert capsys.readouterr().out.startswith("  2 layers, width   32: features ")


@pytest.mark.parametrize(
    ("option", "message"),
    [(("--widths", "33"), "widths must be multiples of 16; got 33"),
     (("--widths", "0"), "widths must be multiples of 16; got 0"),
     (("--lr", "1e20", "--json"), "lr=1e+20 moves the features of 2 layers of width 32 by nan"),
     (("--lr", "1e-30"), "lr=1e-30 moves the features of 2 layers of width 32 by 0, which compares"),
     (("--depths", "0"), "base_depth must be positive; got 0")],
)  # fmt: skip
def test_a_shape_that_cannot_be_is_named(capsys, option, message):
    assert main(option) == 2
    assert message in capsys.readouterr().err
