"""What serving costs, prefill and decode apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.assumptions import Assumptions
from fitting.costs.inference import lifetime
from fitting.costs.rates import resolve
from fitting.errors import InputError

RATES = resolve(Assumptions(device="h100", region="usa"))


def test_prefill_is_two_flops_per_parameter_and_token():
    f = lifetime(RATES, n_params=8e9, prompt_tokens=1e12)["prefill_device_hours"]
    assert f.value == pytest.approx(2 * 8e9 * 1e12 / (989e12 * 0.40 * 3600))


def test_decode_reads_the_weights_once_per_step():
    f = lifetime(RATES, n_params=8e9, output_tokens=1e12, batch=64)["decode_device_hours"]
    assert f.value == pytest.approx(2 * 8e9 * 1e12 / 64 / (3350e9 * 0.60) / 3600)


def test_a_large_batch_is_bound_by_compute():
    f = lifetime(RATES, n_params=8e9, output_tokens=1e12, batch=4096)["decode_device_hours"]
    assert f.value == pytest.approx(2 * 8e9 * 1e12 / (989e12 * 0.40 * 3600))


@given(st.floats(1e6, 1e15), st.floats(1e6, 1e15))
def test_a_written_token_costs_at_least_a_read_one(prompt, output):
    found = lifetime(RATES, n_params=70e9, prompt_tokens=prompt, output_tokens=output)
    read, written = (found[f"{n}_device_hours"].value for n in ("prefill", "decode"))
    assert written / output >= read / prompt * (1 - 1e-12)
    assert found["usd"].value == pytest.approx((read + written) * 2.95)


def test_no_tokens_is_named():
    with pytest.raises(InputError, match="give prompt_tokens, output_tokens or both"):
        lifetime(RATES, n_params=8e9)


def test_an_unknown_bandwidth_is_named():
    from dataclasses import replace

    blind = replace(RATES, device=replace(RATES.device, mem_bw_gb_s=None))
    with pytest.raises(InputError, match="the memory bandwidth of h100-sxm is unknown"):
        lifetime(blind, n_params=8e9, output_tokens=1)
