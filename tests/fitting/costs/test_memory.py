"""Feasibility: what fits on which devices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.memory import GIB, Layout, memory, needed, state_bytes
from fitting.costs.tables import load_tables
from fitting.errors import InputError

TABLES = load_tables()
H100 = TABLES.device("h100")


def shape(name):
    return TABLES.model(name).architecture


@pytest.mark.parametrize(
    ("zero", "per_param"), [(0, 16), (1, 4 + 12 / 64), (2, 2 + 14 / 64), (3, 16 / 64)]
)
def test_the_zero_stages_shard_once(zero, per_param):
    """Sharding weights twice at stage 3 was another tool's trap."""
    assert state_bytes(1e9, Layout(zero=zero, dp=64)) == pytest.approx(per_param * 1e9)


def test_fp32_gradients_cost_two_bytes_more():
    assert state_bytes(1, Layout(zero=0, fp32_gradients=True)) == 18


@given(st.integers(0, 12))
def test_more_devices_never_need_more_each(k):
    shape_8b = shape("llama3-8b")
    each = [sum(needed(shape_8b, Layout(dp=n)).values()) for n in (2 ** (k + 1), 2 ** (k + 2))]
    assert each[1] <= each[0]


def test_8b_fits_a_node_and_not_a_device():
    assert memory(shape("llama3-8b"), H100, 8).fits
    alone = memory(shape("llama3-8b"), H100, 1)
    assert not alone.fits
    assert alone.bytes_per_device > 16 * 8e9


def test_the_fewest_devices_is_the_fewest():
    n = memory(shape("llama3-70b"), H100, 1).fewest_devices_fsdp
    assert n is not None
    assert memory(shape("llama3-70b"), H100, n).fits
    assert not memory(shape("llama3-70b"), H100, n - 1).fits


def test_a_small_device_never_holds_a_large_layer():
    m = memory(shape("llama3-405b"), TABLES.device("t4"), 10_000)
    assert m.fewest_devices_fsdp is None
    assert m.smallest_tp is None or m.smallest_tp > 1


def test_recomputation_saves_activations():
    full = needed(shape("llama3-8b"), Layout(recompute=False))["activations"]
    assert full == pytest.approx(1.1 * 34 * 8192 * 4096 * 32)
    assert needed(shape("llama3-8b"), Layout())["activations"] < full / 10


def test_memory_is_binary_gigabytes():
    assert memory(shape("llama3-8b"), H100, 8).available_bytes == 80 * GIB


@pytest.mark.parametrize(
    ("kw", "message"),
    [({"zero": 4}, "zero must be 0, 1, 2 or 3; got 4"), ({"tp": 0}, "tp must be a positive")],
)
def test_a_layout_that_cannot_be_is_named(kw, message):
    with pytest.raises(InputError, match=message):
        Layout(**kw)
