"""What may enter a fit, and what is said when it may not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.columns import read_columns
from fitting.errors import InputError
from fitting.measurements import Measurements

positive = st.floats(1e-3, 1e20)
GOOD = {"n_params": [1e6, 2e6], "n_tokens": [1e8, 2e8], "loss": [3.0, 2.9]}


@given(st.lists(st.tuples(positive, positive, st.floats(0.1, 20)), min_size=1, max_size=20))
def test_columns_come_back_as_they_went_in(rows):
    N, D, L = map(list, zip(*rows, strict=True))
    m = Measurements.from_columns({"n_params": N, "n_tokens": D, "loss": L})
    again = Measurements.from_columns(m.to_columns())
    np.testing.assert_array_equal(again.loss, m.loss)
    np.testing.assert_allclose(m.flops, 6 * m.n_params * m.n_tokens)


@pytest.mark.parametrize("read", [Measurements.from_csv, lambda f: read_columns(f, ["loss"])])
def test_of_two_columns_of_one_name_none_wins(tmp_path, read):
    (tmp_path / "runs.csv").write_text("n_params,n_tokens,loss,loss\n1e6,2e7,3.2,2.2\n")
    with pytest.raises(InputError, match="column loss is there twice; rename one") as e:
        read(tmp_path / "runs.csv")
    assert e.value.field == "loss"


def test_a_frame_and_a_csv_say_the_same(tmp_path):
    m = Measurements.from_columns(GOOD | {"budget": [1e15, 2e15], "group": ["a", "b"]})
    m.to_frame().to_csv(tmp_path / "runs.csv", index=False)
    read = Measurements.from_csv(tmp_path / "runs.csv")
    assert read.to_columns() == Measurements.from_frame(m.to_frame()).to_columns() == m.to_columns()
    assert read.source == "runs.csv"


def test_flagged_outliers_are_left_out_and_counted():
    flagged = GOOD | {"excluded_outlier": ["True", "False"]}
    assert Measurements.from_columns(flagged).n_excluded == 1
    assert len(Measurements.from_columns(flagged, keep_excluded=True)) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": [3.0, float("nan")]}, r"loss must be finite and positive; got nan in row 2"),
        ({"loss": [3.0, 0.0]}, r"loss must be finite and positive; got 0.0 in row 2"),
        ({"n_params": [-1.0, 1e6]}, r"n_params must be finite and positive; got -1.0 in row 1"),
        ({"n_tokens": [1e8, float("inf")]}, r"n_tokens must be finite and positive; got inf"),
        ({"loss": [3.0, "x"]}, r"loss must be a number; got 'x' in row 2"),
        ({"loss": [3.0]}, r"n_params has 2 and loss has 1"),
        ({"loss": [3.0, ""]}, r"loss must be a number; got a blank cell in row 2"),
        ({"loss": [3.0, 1e308]}, r"loss must be finite and positive and at most 1e\+100; got 1e\+308 in row 2"),
        ({"unique_tokens": ["1e15", " "]}, r"unique_tokens must be a number; got a blank cell .fill all of its rows, or none. in row 2"),
        ({"decayed": ["True", ""]}, r"decayed must be true or false; got a blank cell .* in row 2"),
        ({"decayed": ["True", "perhaps"]}, r"decayed must be true or false; got 'perhaps' in row 2"),
        ({"loss_unit": ["nats/token", "bits/byte"]}, r"loss_unit must be the same in every row"),
        ({"tokenizer": ["gpt2", "llama"]}, r"tokenizer must be the same in every row; got gpt2, llama"),
    ],
)  # fmt: skip
def test_bad_columns_are_named(change, message):
    with pytest.raises(InputError, match=message):
        Measurements.from_columns(GOOD | change)


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="column loss is missing; the columns found are n_params"):
        Measurements.from_columns({"n_params": [1.0], "n_tokens": [1.0]})


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "runs.csv").write_text("n_params,n_tokens,loss\n")
    with pytest.raises(InputError, match="needs a header line and at least one row"):
        Measurements.from_csv(tmp_path / "runs.csv")


def test_a_blank_cell_is_none():
    columns = GOOD | {"flops": ["", 7e15], "excluded_outlier": ["", "no"], "group": ["a", ""]}
    m = Measurements.from_columns(columns)
    assert m.flops.tolist() == [6e14, 7e15]
    assert len(m) == 2
    assert m.to_columns()["group"] == ["a", None]


def test_points_without_a_group_are_clusters_of_their_own():
    table = {k: v * 3 for k, v in GOOD.items()} | {"group": ["a", "a", "", None, " ", float("nan")]}
    m = Measurements.from_columns(table)
    assert len(set(m.clusters)) == 5
    assert Measurements.from_columns(m.to_columns()).to_columns() == m.to_columns()
    assert Measurements.from_columns(GOOD).clusters is None


def test_a_bad_row_has_the_number_that_it_has_in_the_table():
    table = {k: v * 3 for k, v in GOOD.items()}
    table |= {"excluded_outlier": ["yes", "yes", "no", "no", "no", "no"]}
    table["loss"] = [3.0, 3.0, 3.0, -1.0, 3.0, 3.0]
    with pytest.raises(
        InputError, match=r"loss must be finite and positive; got -1.0 in row 4"
    ) as e:
        Measurements.from_columns(table)
    assert e.value.field == "loss[3]"


def test_a_point_of_no_budget_is_one_of_its_own():
    """Runs added to isoFLOPs, by a design for instance, leave those as they are."""
    m = Measurements.from_columns(GOOD | {"budget": [1e15, ""]})
    assert m.budget_flops.tolist() == [1e15, m.flops[1]]
    assert Measurements.from_columns(GOOD | {"budget": ["", ""]}).budget_flops is None
