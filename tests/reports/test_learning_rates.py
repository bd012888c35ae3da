"""Learning rates of GPT-3 and LLaMA beside our rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.errors import InputError
from reports.learning_rates import curves, plot
from trainer.recipe import BASE_LR, BASE_WIDTH

RECIPE = curves(base_lr=BASE_LR, base_width=BASE_WIDTH)


def test_theirs_are_the_papers():
    gpt3, llama = RECIPE.theirs
    assert list(gpt3.lr) == [6e-4, 3e-4, 2.5e-4, 2e-4, 1.6e-4, 1.2e-4, 1e-4, 0.6e-4]
    assert list(llama.lr) == [3e-4, 3e-4, 1.5e-4, 1.5e-4]
    assert list(llama.n_params) == [6.7e9, 13e9, 32.5e9, 65.2e9]


def test_the_rule_falls_with_size_as_gpt_3s_rates_did():
    """The level is the base rate's, tuned far below these sizes; the slope is the rule's."""
    theirs, ours = RECIPE.theirs[0], RECIPE.ours[0]
    slopes = [np.polyfit(np.log(s.n_params), np.log(s.lr), 1)[0] for s in (theirs, ours)]
    assert slopes[1] == pytest.approx(slopes[0], abs=0.1)
    assert slopes[0] == pytest.approx(-0.30, abs=0.03)


@given(st.floats(1e-4, 1), st.floats(16, 4096))
def test_the_rule_is_inversely_proportional_to_width(lr, width):
    one, two = (curves(base_lr=lr, base_width=w).ours[0].lr for w in (width, 2 * width))
    assert two == pytest.approx(2 * one)


def test_step_law_at_a_known_point():
    law = next(s for s in RECIPE.laws if s.label.startswith("Step Law"))
    assert law.lr[-1] == pytest.approx(1.79 * 175e9**-0.713 * 300e9**0.307)


def test_the_drawing_has_a_line_for_each_series():
    c = RECIPE
    assert len(plot(c).lines) == len(c.theirs) + len(c.ours) + len(c.laws)


def test_a_family_without_rates_is_named():
    with pytest.raises(InputError, match=r"group must be one of .*'gpt3'.*; got 'nanochat'"):
        curves(("nanochat",), base_lr=1e-2, base_width=64)
