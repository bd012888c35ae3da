"""HTML of the pages: templates, their filters, and problems for people."""

from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader

from reports import format as f
from reports.build import environment


@cache
def templates() -> Environment:
    """The reports' environment and templates, and ours before them."""
    env = environment()
    env.loader = ChoiceLoader([PackageLoader("api"), PackageLoader("reports")])
    env.filters |= f.FORMATS | {"interval": f.interval}
    env.globals["version"] = version("isoflop")
    return env


def html(name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page from the template `name`."""
    return HTMLResponse(templates().get_template(name).render(**values), status)
