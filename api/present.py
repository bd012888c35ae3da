"""HTML of the pages: templates, their filters, and problems for people."""

import json
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi.responses import HTMLResponse, JSONResponse
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


def problem(answer: JSONResponse) -> HTMLResponse:
    """The same problem as a page, with the same status."""
    said = {"reasons": []} | json.loads(bytes(answer.body))
    return html("problem.html", status=answer.status_code, problem=said)
