"""CSV files as people have them: what a spreadsheet writes is read, what shifts a value is not."""

import pytest

from fitting.columns import read_csv
from fitting.errors import InputError
from fitting.measurements import Measurements

TABLE = "n_params,n_tokens,loss\n1e6,1e8,3.0\n2e6,2e8,2.9\n"
EXPECTED = {"n_params": ["1e6", "2e6"], "n_tokens": ["1e8", "2e8"], "loss": ["3.0", "2.9"]}


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        TABLE.encode(),
        TABLE.encode("utf-8-sig"),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.replace("3.0\n", "3.0,\n\n"),
        TABLE.replace("n_tokens,", " n_tokens ,"),
        ",n_params,n_tokens,loss\n0,1e6,1e8,3.0\n1,2e6,2e8,2.9",
    ],
)
def test_what_a_spreadsheet_or_a_frame_writes_is_read(text):
    assert read_csv(text) == EXPECTED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "x.csv needs a header line and at least one row; got neither"),
        (b"\n\n", "needs a header line and at least one row; got neither"),
        (b"n_params,n_tokens,loss\n", "needs a header line and at least one row; got no row"),
        ((TABLE + "\xe9").encode("latin-1"), "x.csv must be UTF-8 text; byte 48 is none .save it as"),
        (TABLE.encode("utf-16"), "must be UTF-8 text; byte 1 is none"),
        (TABLE.replace("2.9", "2.9,7").encode(), "row 2 of .* has 4 cells and the header 3: 2e6,2e8,2.9,7"),
        (TABLE.replace("2e8,2.9", "2e8").encode(), "row 2 of .* has 2 cells and the header 3"),
        (TABLE.replace("2e6", "2,000,000").encode(), "a comma within a number or a text needs quotes"),
        (TABLE.replace("n_tokens", "loss").encode(), "column loss is there twice"),
        (TABLE.replace("2e6", '"2e6').encode(), "x.csv must be a CSV; line 3 is none: unexpected end"),
    ],
)  # fmt: skip
def test_files_that_would_be_misread_are_named(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_bytes(text)
    with pytest.raises(InputError, match=message):
        Measurements.from_csv(path)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match="must be a file that can be read; got Is a directory"):
        Measurements.from_csv(tmp_path)
