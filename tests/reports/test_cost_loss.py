"""Cost against loss: the numbers behind the curve, and what is drawn."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.costs.estimate import estimate
from fitting.costs.published import published_law
from fitting.errors import InputError
from reports.cost_loss import curves, plot

LAW = published_law("chinchilla-epoch")
TODAY = date(2026, 11, 21)


@settings(max_examples=10)
@given(st.sampled_from(["h100", "a100", "b200", "cpu-core"]), st.floats(0.1, 0.7))
def test_the_curve_is_the_laws_optimum_at_the_price_of_an_estimate(device, mfu):
    c = curves(LAW, flops=(1e20, 1e24), device=device, measured_mfu=mfu, today=TODAY)
    found = estimate(flops=c.flops[7], device=device, measured_mfu=mfu, today=TODAY)["usd"]
    assert c.usd[7] == pytest.approx([found.low, found.value, found.high])
    assert c.loss[7] == LAW.choose(float(c.flops[7])).loss
    assert (np.diff(c.loss) < 0).all()
    assert (np.diff(c.usd[:, 1]) > 0).all()


def test_thresholds_stand_at_the_price_of_their_compute():
    c = curves(LAW, device="h100", today=TODAY)
    assert [line.flops for line in c.lines] == [1e23, 1e25, 1e26]
    price = estimate(flops=1e25, device="h100", today=TODAY)["usd"].value
    assert c.lines[1].usd == pytest.approx(price)
    assert "US Executive Order 14110 (revoked)" in c.lines[2].label
    assert "California SB 53" in c.lines[2].label
    assert curves(LAW, flops=(1e19, 1e22), device="h100").lines == ()


def test_the_drawing_has_every_line_and_mark():
    c = curves(LAW, device="h100", marks={"a": 1e22, "b": 1e24}, today=TODAY)
    ax = plot(c)
    drawn = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(drawn) == len(c.lines)
    assert {"a", "b"} <= {t.get_text() for t in ax.texts}
    assert ax.get_xlabel() == "Rent of the final run (USD)"
    assert "h100-sxm at $2.95/h and 26% of its peak" in c.caption


@pytest.mark.parametrize(
    ("kw", "message"),
    [
        ({"device": "h20"}, "no price of h20 is known; give usd_per_device_h"),
        ({"device": "h100", "flops": (1e22, 1e21)}, "flops must be a rising range"),
    ],
)
def test_what_cannot_be_drawn_is_named(kw, message):
    with pytest.raises(InputError, match=message):
        curves(LAW, **kw)
