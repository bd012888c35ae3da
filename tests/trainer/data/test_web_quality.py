import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.errors import InputError
from trainer.data.web.pipeline import judges
from trainer.data.web.quality import L2, Judges, features, half, threshold, train

texts = st.lists(
    st.lists(
        st.sampled_from(["oak", "elm", "ash", "fir", "yew", "bay"]), min_size=1, max_size=8
    ).map(" ".join),
    min_size=1,
    max_size=6,
)


def test_two_texts_of_one_word_have_the_weights_of_the_hand_calculation():
    """w = u for one word, -u for the other; the slope -sigmoid(-u) + 2 L2 u is 0."""
    low, high = 0.0, 20.0
    while high - low > 1e-12:
        u = (low + high) / 2
        low, high = (u, high) if 2 * L2 * u < 1 / (1 + math.exp(u)) else (low, u)
    model = train(["oak"], ["elm"])
    assert model.score("oak") == pytest.approx(1 / (1 + math.exp(-low)), abs=1e-5)
    assert model.score("oak") + model.score("elm") == pytest.approx(1)
    assert model.score("") == pytest.approx(0.5)


@given(good=texts, crawl=texts)
def test_neither_the_order_nor_the_name_of_a_side_matters(good, crawl):
    a, b, c = train(good, crawl), train(good[::-1], crawl[::-1]), train(crawl, good)
    for text in (*good, *crawl):
        p = a.score(text)
        assert 0 < p < 1
        assert b.score(text) == pytest.approx(p, abs=1e-4)  # the gradient ends at 1e-7, not 0
        assert c.score(text) == pytest.approx(1 - p, abs=1e-4)


@given(good=texts, crawl=texts)
def test_a_side_given_twice_is_the_same_side(good, crawl):
    once, twice = train(good, crawl), train(good * 2, crawl)
    assert all(twice.score(t) == pytest.approx(once.score(t), abs=1e-4) for t in crawl)


def test_words_are_compared_without_case_and_each_counts_once():
    assert (features("Oak oak, OAK") == features("oak oak")).all()
    assert len(features("oak elm")) == 3  # two words and their pair
    assert len(features("...")) == 0


@pytest.mark.parametrize("sides", [([], ["a"]), (["a"], [])])
def test_a_side_without_texts_is_refused(sides):
    with pytest.raises(ValueError, match="train needs good texts and texts of the crawl"):
        train(*sides)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=50),
    st.floats(0, 1, exclude_min=True),
)
def test_the_threshold_keeps_the_share_rounded_up_and_ties(scores, share):
    least = threshold(scores, share)
    assert sum(s >= least for s in scores) >= share * len(scores) - 1e-6
    assert sum(s > least for s in scores) < share * len(scores) + 1


@pytest.mark.parametrize(("share", "kept"), [(0.3, 3), (0.31, 4), (1, 10), (1e-6, 1)])
def test_the_top_share_of_ten(share, kept):
    assert sum(s >= threshold(range(10), share) for s in range(10)) == kept


def test_a_page_is_judged_by_a_classifier_that_has_not_seen_it():
    names = [f"page {i}" for i in range(8)]
    of = [[f"elm ash {n}" for n in names if half(n) == h] * 5 for h in (0, 1)]
    good = ["oak fir"] * 3
    name = next(n for n in names if half(n) == 0)
    text = "oak yew"
    without = judges(good, of).score(name, text)
    assert judges(good, [[*of[0], text], of[1]]).score(name, text) == without
    assert judges(good, [of[0], [*of[1], text]]).score(name, text) < without
    assert isinstance(judges(good, of), Judges)


def test_a_crawl_too_small_for_two_halves_is_refused():
    message = r"at least 5 pages in each half of the crawl; got 6 and 4 \(give more pages"
    with pytest.raises(InputError, match=message) as e:
        judges(["oak"], [["elm"] * 6, ["elm"] * 4])
    assert e.value.field == "good"
