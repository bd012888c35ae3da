"""`build` turns a document into one HTML file that needs nothing else: no network, no scripts."""

import re

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from reports.document import Document


def environment() -> Environment:
    """Templates escape whatever they are given; only drawings pass unescaped, see `inline`."""
    env = Environment(
        loader=PackageLoader("reports"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["inline"] = inline
    return env


def build(document: Document) -> str:
    """The report as HTML."""
    return environment().get_template("report.html").render(document=document)


def inline(svg: str) -> Markup:
    """The <svg> element of a file, without what only a file of its own needs.

    Raises:
        ValueError: not a drawing, or one that carries a script: it would run in the report.
    """
    found = re.search(r"<svg\b.*</svg>", svg, re.DOTALL)
    if not found or re.search(
        r"<script|<foreignObject|\son\w+\s*=|javascript:", svg, re.IGNORECASE
    ):
        raise ValueError("a figure must be an SVG drawing without scripts")
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", found[0], flags=re.DOTALL)
    return Markup(body)  # noqa: S704  drawn by our own figures, checked above
