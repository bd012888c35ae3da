"""A thin REST client: the commands and the demo speak to the service through it and nothing else.

Problem documents become the errors that the same mistake raises without a service: 404 and 422
`InputError`, 409 `RefusalError`, with the service's own sentences.
"""

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx2

from fitting.errors import InputError
from sweeper.errors import NoServiceError
from sweeper.wire import document, parse_events, raise_for

Json = dict[str, Any]
DEFAULT_HOME = "isoflop-home"


def find_url(url: str | None = None, *, home: Path | None = None) -> str:
    """`url`, else ISOFLOP_URL, else what the running service wrote to <home>/service.json.

    Raises:
        NoServiceError: none of the three is there, or the file is damaged.
    """
    given = url or os.environ.get("ISOFLOP_URL")
    if given:
        return given.rstrip("/")
    folder = home or Path(os.environ.get("ISOFLOP_HOME", DEFAULT_HOME))
    file = folder / "service.json"
    if not file.is_file():
        raise NoServiceError(
            f"no service found: {file} does not exist; start one with `isoflop up`, or give --url",
            field="url",
        )
    try:
        return str(json.loads(file.read_text())["url"]).rstrip("/")
    except (ValueError, KeyError, TypeError) as error:
        raise NoServiceError(
            f"{file} does not say where the service is; start it again with `isoflop up`, or give "
            "--url",
            field="url",
        ) from error


class Client:
    """One connection pool to one service. Answers are the decoded JSON documents."""

    def __init__(
        self,
        url: str | None = None,
        *,
        home: Path | None = None,
        timeout_s: float = 300.0,  # a fit with thousands of bootstraps answers when it is done
        http: httpx2.Client | None = None,  # tests pass one that needs no socket
    ) -> None:
        self.url = str(http.base_url) if http else find_url(url, home=home)
        self.http = http or httpx2.Client(base_url=self.url, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()

    # -- sweeps and runs ---------------------------------------------------------------

    def plan(self, spec: Json) -> Json:
        """What the sweep would do and cost; leaves no trace."""
        return self._json("POST", "/v1/sweeps", json=spec, params={"dry_run": "true"})

    def submit(self, spec: Json, *, key: str | None = None) -> Json:
        """Create a sweep. The same `key` again gives the same sweep, not a second one."""
        return self._json("POST", "/v1/sweeps", json=spec, headers=_idempotent(key))

    def sweeps(self, *, state: str | None = None, limit: int = 50) -> Iterator[Json]:
        """All sweeps, newest first, page by page."""
        return self._pages("/v1/sweeps", {"limit": limit} | ({"state": state} if state else {}))

    def sweep(self, sweep_id: int | str) -> Json:
        return self._json("GET", f"/v1/sweeps/{sweep_id}")

    def runs(self, sweep_id: int | str, *, limit: int = 200) -> Iterator[Json]:
        return self._pages(f"/v1/sweeps/{sweep_id}/runs", {"limit": limit})

    def measurements(self, sweep_id: int | str) -> Json:
        """Every measured point of a sweep: {"items": [...]}, columns as in a CSV import."""
        return self._json("GET", f"/v1/sweeps/{sweep_id}/measurements.json")

    def control(self, sweep_id: int | str, verb: str) -> Json:
        """`verb`: pause, resume, stop, cancel or retry."""
        return self._json("POST", f"/v1/sweeps/{sweep_id}/{verb}")

    def run(self, run_id: int | str) -> Json:
        return self._json("GET", f"/v1/runs/{run_id}")

    def curve(self, run_id: int | str) -> Json:
        return self._json("GET", f"/v1/runs/{run_id}/curve")

    # -- laws --------------------------------------------------------------------------

    def create_study(self, name: str, csv: str | bytes, **meta: str) -> Json:
        """Measurements from elsewhere, as CSV text. `meta`: tokenizer, loss_unit, source."""
        return self._json(
            "POST",
            "/v1/studies",
            content=csv,
            params={"name": name, **meta},
            headers={"Content-Type": "text/csv"},
        )

    def studies(self, *, limit: int = 50) -> Iterator[Json]:
        return self._pages("/v1/studies", {"limit": limit})

    def study(self, study_id: int | str) -> Json:
        """By id or by name."""
        return self._json("GET", _source(None, study_id))

    def fit(self, **body: Any) -> Json:
        """Body: sweep_id or study_id; law ("auto"), objective, n_bootstrap, seed."""
        return self._json("POST", "/v1/fits", json=body)

    def fits(self, **params: Any) -> Iterator[Json]:
        """Of a sweep_id or a study_id, newest first."""
        return self._pages("/v1/fits", params)

    def recommend(self, **body: Any) -> Json:
        """Body: fit_id, budget (any unit), inference_tokens, unique_tokens, device, n_devices."""
        return self._json("POST", "/v1/recommendations", json=body)

    def recommendations(self, **params: Any) -> Iterator[Json]:
        """Of a fit_id, newest first."""
        return self._pages("/v1/recommendations", params)

    def predict(self, **body: Any) -> Json:
        """Body: fit_id, n_params, n_tokens, unique_tokens."""
        return self._json("POST", "/v1/predictions", json=body)

    def compare(self, **body: Any) -> Json:
        """Body: a and b (each a sweep_id or a study_id), law, flops, n_bootstrap, seed."""
        return self._json("POST", "/v1/comparisons", json=body)

    def design(self, **body: Any) -> Json:
        """Body: target, and sweep_id or study_id, total, scatter."""
        return self._json("POST", "/v1/designs", json=body)

    def estimate(self, **body: Any) -> Json:
        return self._json("POST", "/v1/estimates", json=body)

    def plot(self, kind: str, form: str = "svg", **params: Any) -> bytes:
        """A figure: kind as in GET /v1/plots, form svg, png or json; params sweep_id, fit_id…"""
        return self._send("GET", f"/v1/plots/{kind}.{form}", params=params).content

    # -- final runs, events, reports ---------------------------------------------------

    def launch(self, recommendation_id: int | str, *, key: str | None = None, **body: Any) -> Json:
        """Seal the forecast and queue the final run, once."""
        body = {"recommendation_id": recommendation_id, **body}
        return self._json("POST", "/v1/launches", json=body, headers=_idempotent(key))

    def launch_status(self, launch_id: int | str) -> Json:
        """The forecast, and the outcome beside it as soon as there is one."""
        return self._json("GET", f"/v1/launches/{launch_id}")

    def launches(self, *, limit: int = 50) -> Iterator[Json]:
        return self._pages("/v1/launches", {"limit": limit})

    def events(self, *, after: int = 0, sweep_id: int | str | None = None) -> Iterator[Json]:
        """Events as they happen, from the one after `after` on; each has id, event and data."""
        params = {"sweep_id": sweep_id} if sweep_id else {}
        headers = {"Last-Event-ID": str(after)}
        with self.http.stream("GET", "/v1/events", params=params, headers=headers) as answer:
            if answer.is_error:
                answer.read()
            raise_for(answer)
            yield from parse_events(answer.iter_lines())

    def report(
        self, *, sweep_id: int | str | None = None, study_id: int | str | None = None
    ) -> str:
        """The self-contained HTML report."""
        return self._send("GET", f"{_source(sweep_id, study_id)}/report").text

    def export(
        self, *, sweep_id: int | str | None = None, study_id: int | str | None = None
    ) -> str:
        """Measurements as CSV."""
        return self._send("GET", f"{_source(sweep_id, study_id)}/measurements.csv").text

    def ready(self) -> Json:
        """What /readyz says, whether ready (200) or degraded (503)."""
        return dict(self.http.get("/readyz").json())

    # -- transport ---------------------------------------------------------------------

    def _pages(self, path: str, params: Json) -> Iterator[Json]:
        cursor: str | None = None
        while True:
            page = self._json("GET", path, params=params | ({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _json(self, method: str, path: str, **request: Any) -> Json:
        return document(self._send(method, path, **request))

    def _send(self, method: str, path: str, **request: Any) -> httpx2.Response:
        try:
            answer = self.http.request(method, path, **request)
        except httpx2.TransportError as error:
            raise NoServiceError(
                f"no service answers at {self.url} ({error}); start one with `isoflop up`",
                field="url",
            ) from error
        except ValueError as error:  # NaN, which JSON has not
            raise InputError(f"this cannot be asked over HTTP: {error}") from error
        raise_for(answer)
        return answer


def _source(sweep_id: int | str | None, study_id: int | str | None) -> str:
    """Path of the one that is given.

    Raises:
        InputError: both or neither.
    """
    if (sweep_id is None) == (study_id is None):
        raise InputError(
            f"give exactly one of a sweep and a study; got {sweep_id} and {study_id}",
            field="sweep_id",
        )
    if sweep_id is not None:
        return f"/v1/sweeps/{sweep_id}"
    return f"/v1/studies/{quote(str(study_id), safe='')}"


def _idempotent(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key or str(uuid.uuid4())}
