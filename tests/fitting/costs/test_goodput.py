"""Young and Daly against Llama 3's disclosed failures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.goodput import young_daly
from fitting.errors import InputError


def test_llama_3_on_16384_devices():
    g = young_daly(16384)
    assert g.mtbf_h == pytest.approx(3.09, abs=0.005)
    assert 1 - g.share == pytest.approx(0.088, abs=0.0005)
    assert not g.clamped


@given(st.integers(1, 10**6), st.floats(0.1, 600))
def test_more_devices_never_train_better(n, checkpoint_s):
    one, two = (young_daly(k, checkpoint_s=checkpoint_s) for k in (n, 2 * n))
    assert two.share <= one.share
    assert 0.05 - 1e-12 <= two.share < 1


def test_outside_its_validity_it_is_clamped_and_says_so():
    g = young_daly(10**7, checkpoint_s=60)
    assert g.clamped
    assert g.share == pytest.approx(0.05)
    assert "clamped: the interval is no longer short against the failures" in g.formula


def test_a_negative_time_is_named():
    with pytest.raises(
        InputError, match="checkpoint_s must be a positive finite number of seconds"
    ):
        young_daly(8, checkpoint_s=-1)
