"""A drawn figure as a file, the same bytes every time."""

import io
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Form = Literal["svg", "png"]
# No date, and identifiers that depend on the content: equal figures are equal files.
_SVG: Any = {"svg.hashsalt": "isoflop", "svg.fonttype": "path"}


def figure_of(ax: Axes) -> Figure:
    """The figure that axes belong to."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes belong to no figure")
    return figure


def to_bytes(figure: Figure, form: Form, *, dpi: int = 150) -> bytes:
    """SVG or PNG. Never touches pyplot, so threads may draw at the same time."""
    FigureCanvasAgg(figure)
    file = io.BytesIO()
    with mpl.rc_context(_SVG):
        figure.savefig(file, format=form, dpi=dpi, metadata={"Date": None} if form == "svg" else {})
    return file.getvalue()
