import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.build import build, inline
from reports.document import Document, Fact, Figure, Note, Section, Table
from reports.render import figure_of, to_bytes
from reports.training import curves, plot

POINTS = [{"branch": 0, "n_tokens": 100 * i, "loss": 3 / i} for i in range(1, 20)]


def document(**section):
    return Document(
        title="A title",
        subtitle="A subtitle",
        sections=(Section(title="Part", **section),),
        provenance=(("Code", "abc123"),),
    )


@pytest.fixture(scope="module")
def svg():
    return to_bytes(figure_of(plot(curves(POINTS))), "svg").decode()


def test_a_report_has_everything_in_one_file(svg):
    html = build(
        document(
            text=("A paragraph.",),
            facts=(Fact(label="N*", value="272k", note="252k … 292k"),),
            notes=(Note(text="Beware.", kind="bad"),),
            tables=(Table(heads=("Run", "#N"), rows=(("1", "8.06k"),), caption="All."),),
            figures=(Figure(svg=svg, caption="Loss. Fit 3."),),
        )
    )
    for words in ("A title", "A paragraph.", "272k", "252k … 292k", "Beware.", "8.06k", "abc123"):
        assert words in html
    assert '<td class="n">8.06k</td>' in html
    assert html.count("<svg") == 1


def test_a_report_needs_no_network_and_runs_no_script(svg):
    html = build(document(figures=(Figure(svg=svg, caption="Loss."),)))
    fetched = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?(https?:|//)', html)
    assert fetched == []
    assert "<script" not in html
    assert "<link" not in html


@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=40))
def test_whatever_is_written_is_text_and_not_markup(text):
    html = build(document(text=(f"<b>{text}</b>",)))
    assert "<b>" not in html


@pytest.mark.parametrize(
    "bad",
    [
        "no drawing",
        "<svg><script>alert(1)</script></svg>",
        '<svg onload="alert(1)"></svg>',
        "<svg><foreignObject/></svg>",
    ],
)
def test_a_drawing_with_a_script_is_refused(bad):
    with pytest.raises(ValueError, match="without scripts"):
        inline(bad)


def test_a_table_with_a_short_row_is_a_mistake():
    with pytest.raises(ValueError, match="a row needs 2 cells"):
        Table(heads=("a", "b"), rows=(("1",),))


def test_a_figure_is_inline_or_linked():
    with pytest.raises(ValueError, match="either svg or src"):
        Figure(caption="x")


def test_the_same_figure_is_the_same_file(svg):
    assert to_bytes(figure_of(plot(curves(POINTS))), "svg").decode() == svg
    assert to_bytes(figure_of(plot(curves(POINTS))), "png").startswith(b"\x89PNG")
