import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.errors import RefusalError
from reports.training import curves, plot, smooth

POINTS = [
    {"branch": 0, "n_tokens": 200, "loss": 2.0},
    {"branch": 0, "n_tokens": 100, "loss": 3.0},
    {"branch": 300, "n_tokens": 250, "loss": 1.9},
    {"branch": 0, "n_tokens": 300, "loss": None},
]


def test_points_are_grouped_by_branch_and_sorted_by_tokens():
    found = curves(POINTS, [{"n_tokens": 300, "loss": 1.8}])
    assert [c.horizon for c in found.curves] == [0, 300]
    np.testing.assert_array_equal(found.curves[0].points, [[100, 3.0], [200, 2.0]])
    np.testing.assert_array_equal(found.evaluated, [[300, 1.8]])


def test_points_without_a_finite_loss_are_counted():
    assert curves(POINTS).n_left_out == 1


def test_nothing_to_draw_is_an_error():
    with pytest.raises(RefusalError, match="a point with a finite loss"):
        curves(POINTS[3:])


def test_the_axes_show_what_was_computed():
    ax = plot(curves(POINTS, [{"n_tokens": 300, "loss": 1.8}]))
    assert ax.get_xscale() == "log"
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [3.0, 2.0])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "trunk",
        "cooldowns",
        "held-out evaluation",
    ]


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=300))
def test_smoothing_stays_within_what_it_smooths(losses):
    found = smooth(np.array(losses))
    assert len(found) == len(losses)
    assert (found >= min(losses) - 1e-9).all()
    assert (found <= max(losses) + 1e-9).all()


def test_smoothing_takes_the_scatter_and_leaves_the_law():
    step = np.arange(1, 401)
    law = 1.5 + 2 * step**-0.5
    noisy = law + np.random.default_rng(0).normal(0, 0.15, 400)
    found = smooth(noisy)
    np.testing.assert_allclose(smooth(law), law, rtol=0.01)
    assert (found - law)[100:].std() < 0.15 / 4


def test_the_first_points_are_themselves():
    np.testing.assert_array_equal(smooth(np.array([4.0, 3.0, 2.5])), [4.0, 3.0, 2.5])
