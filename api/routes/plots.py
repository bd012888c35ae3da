"""/v1/plots: figures as SVG or PNG, and the numbers they are drawn from as JSON."""

import json
import math
from dataclasses import asdict, is_dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel

from api.deps import MAX_ID, EngineDep
from api.figures import CAPTIONS, prepare
from api.problems import documented
from reports.render import to_bytes
from store.engine import reading

router = APIRouter(prefix="/v1/plots", tags=["plots"])
MEDIA = {"svg": "image/svg+xml", "png": "image/png", "json": "application/json"}
OptionalId = Annotated[int | None, Query(ge=1, le=MAX_ID)]


class KindOut(BaseModel):
    kind: str
    caption: str


class KindsOut(BaseModel):
    items: list[KindOut]


@router.get("")
def list_plots() -> KindsOut:
    """Which kinds there are."""
    return KindsOut(items=[KindOut(kind=k, caption=c) for k, c in CAPTIONS.items()])


@router.get(
    "/{kind}.{form}",
    responses={
        **documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
        200: {"content": {media: {} for media in MEDIA.values()}},
    },
    response_class=Response,
)
def read_plot(
    kind: Annotated[str, Path(max_length=50)],
    form: Literal["svg", "png", "json"],
    *,
    engine: EngineDep,
    run_id: OptionalId = None,
    fit_id: OptionalId = None,
    device: Annotated[str, Query(max_length=50, description="Of cost-loss, such as h100-sxm")] = "",
) -> Response:
    """A figure of a run, of a fit, or of published laws and models."""
    with reading(engine) as session:
        draw = prepare(session, kind, run_id=run_id, fit_id=fit_id, device=device)
    drawn = draw()
    if form == "json":
        content: bytes = json.dumps(_plain(drawn.numbers), allow_nan=False).encode()
    else:
        content = to_bytes(drawn.figure, form)
    return Response(content, media_type=MEDIA[form])


def _plain(value: Any) -> Any:
    """Records and arrays as JSON values; what is not finite as null."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    elif hasattr(value, "_asdict"):
        value = value._asdict()
    elif isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
