"""Estimates as text: numbers a person can compare, sources that can be looked up."""

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.costs.compare import disclosed_runs, side_by_side
from fitting.costs.estimate import estimate
from fitting.costs.published import published_law
from fitting.costs.question import ask
from fitting.costs.show import explain, human, lines
from fitting.costs.show_tables import answered, checked, compared

TODAY = date(2026, 11, 21)
E = estimate(n_params=405e9, n_tokens=15.6e12, n_devices=16000, preset="cs229", today=TODAY)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (3.7908e25, "FLOP", "3.791e25 FLOP"),
        (52.65e6, "USD", "$52.65M"),
        (999.6, "USD", "$1,000"),
        (26_330_000, "device-h", "26.33M device-h"),
        (4422.6, "t", "4,423 t"),
        (0.4044, "of the dense peak", "40.4%"),
        (0.00012, "USD", "$0.00012"),
    ],
)
def test_numbers_are_written_for_people(value, unit, words):
    assert human(value, unit) == words


@given(st.floats(1e-6, 1e15))
def test_a_written_number_is_the_number_to_three_digits(value):
    found = re.fullmatch(r"([\d.,e+-]+)([kMBT]?) kWh", human(value, "kWh"))
    scale = {"": 1, "k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}[found[2]]
    assert float(found[1].replace(",", "")) * scale == pytest.approx(value, rel=6e-3)


def test_every_source_is_numbered_once_and_every_number_has_its_source():
    body, sources = explain(E).split("\n\nSources\n")
    numbers = [int(n) for n in re.findall(r"^\[(\d+)\]", sources, re.MULTILINE)]
    used = {int(n) for group in re.findall(r" \[([\d, ]+)\]$", body, re.MULTILINE)
            for n in group.split(",")}  # fmt: skip
    assert numbers == sorted(used)
    assert len(set(sources.splitlines())) == len(numbers)


def test_the_summary_has_a_row_for_each_figure():
    labels = [label for label, _, _ in lines(E)]
    for label in ("Compute (6ND)", "Device-hours", "Rent", "Staff", "Money in all", "Water"):
        assert label in labels
    assert "Wall clock on 16,000 × h100-sxm" in labels


def test_one_devices_days_are_not_shown_unless_one_was_asked_for():
    assert not [row for row in lines(estimate(flops=1e24)) if row[0].startswith("Wall clock")]


def test_tables_are_rectangular():
    for rows in (compared(side_by_side(today=TODAY)), checked(disclosed_runs(today=TODAY))):
        assert {len(row) for row in rows} == {len(rows[0])}


def test_a_share_of_a_few_thousandths_is_not_nothing():
    answer = ask("$75M", published_law("chinchilla-epoch"), sweep_share=0.004)
    assert answered(answer)[0][2].startswith("Sweep: 0.4% of it, ")
