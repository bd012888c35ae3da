"""`/metrics` for Prometheus: requests as they are answered, runs and sweeps as the database says."""

import time
from collections.abc import Iterator

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine, func, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from store.engine import reading
from store.leases import age_s
from store.models import Measurement, Run, Sweep


class StoreCollector(Collector):
    """Counts rows when scraped; nothing is kept in between."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def describe(self) -> list[GaugeMetricFamily]:
        return []  # or the registry would query the database to learn the names

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with reading(self.engine) as session:
            for table, name in ((Run, "runs"), (Sweep, "sweeps")):
                gauge = GaugeMetricFamily(f"isoflop_{name}", f"{name} by state", labels=["state"])
                for state, n in session.execute(
                    select(table.state, func.count()).group_by(table.state)
                ):
                    gauge.add_metric([state.value], n)
                yield gauge
            n_measurements = session.scalar(select(func.count()).select_from(Measurement)) or 0
            yield GaugeMetricFamily(
                "isoflop_measurements", "evaluated points", value=n_measurements
            )
            age = age_s(session, "dispatcher")
            if age is not None:
                yield GaugeMetricFamily(
                    "isoflop_dispatcher_heartbeat_age_seconds", "since its last beat", value=age
                )


class Timed:
    """ASGI middleware: how long until each answer began, by route and status."""

    def __init__(self, app: ASGIApp, *, seconds: Histogram) -> None:
        self.app, self.seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")  # never the raw path
                labels = (scope["method"], route, str(message["status"]))
                self.seconds.labels(*labels).observe(time.perf_counter() - start)
            await send(message)

        await self.app(scope, receive, observed)


def install(app: FastAPI) -> None:
    """Time every request by its route, and serve the registry of this app."""
    registry = CollectorRegistry()
    seconds = Histogram(
        "isoflop_request_seconds",
        "until the answer began",
        ("method", "route", "status"),
        registry=registry,
    )
    registry.register(StoreCollector(app.state.engine))
    app.add_middleware(Timed, seconds=seconds)

    @app.get("/metrics", tags=["health"], response_class=PlainTextResponse)
    def read_metrics() -> Response:
        """Prometheus text."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
