"""Files of the pages: our styles, the vendored htmx, and Plotly's script from its own wheel."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Literal

from fastapi import APIRouter, Response

router = APIRouter(prefix="/static", include_in_schema=False)
Name = Literal["base.css", "pages.css", "htmx.js", "plotly.js", "explore.js"]


def _file(name: Name) -> Traversable:
    here = files("api") / "static"
    return {
        "base.css": files("reports") / "templates" / "base.css",
        "pages.css": here / "pages.css",
        "htmx.js": here / "vendor" / "htmx.min.js",
        "explore.js": here / "explore.js",
        "plotly.js": files("plotly") / "package_data" / "plotly.min.js",
    }[name]


@cache
def _content(name: Name) -> bytes:
    return _file(name).read_bytes()


@router.get("/{name}")
def read_static(name: Name) -> Response:
    """One of a fixed list: no path of a client's ever reaches the file system."""
    kind = "text/css" if name.endswith(".css") else "text/javascript"
    return Response(
        _content(name), media_type=kind, headers={"Cache-Control": "public, max-age=3600"}
    )
