"""`create_app` is the web application; nothing happens on import.

Read this file, then one route: `api/routes/runs.py` is the shortest.
"""

import os
from collections.abc import Collection
from importlib.metadata import version

from fastapi import FastAPI
from sqlalchemy import Engine

from api import forms, health, metrics, openapi, pages, present, problems, static
from api.guard import LOCAL_HOSTS, MAX_BODY_BYTES, Guard
from api.routes import (
    budgets,
    estimates,
    events,
    fits,
    launches,
    laws,
    plots,
    recommendations,
    reports,
    runs,
    studies,
    sweeps,
)
from store.engine import make_engine
from store.settings import Settings, load_settings

V1 = (
    sweeps,
    runs,
    studies,
    fits,
    recommendations,
    laws,
    estimates,
    budgets,
    plots,
    launches,
    events,
    reports,
)


def create_app(
    engine: Engine,
    settings: Settings,
    *,
    hosts: Collection[str] = LOCAL_HOSTS,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
    """The application on an engine whose schema is up to date."""
    # The usual documentation pages load scripts from a CDN: this service works offline.
    app = FastAPI(title="isoflop", version=version("isoflop"), docs_url=None, redoc_url=None)
    app.state.engine, app.state.settings = engine, settings
    problems.install(app, page=present.problem)
    metrics.install(app)
    app.add_middleware(Guard, hosts=hosts, max_body_bytes=max_body_bytes)
    for module in (*V1, health, static, pages, forms):
        app.include_router(module.router)
    openapi.install(app)
    return app


def create_app_from_settings() -> FastAPI:
    """For `uvicorn --factory api.main:create_app_from_settings`; reads the environment.

    ISOFLOP_HOSTS is a comma-separated list of the names under which the service is reached.
    """
    settings = load_settings()
    named = [host.strip() for host in os.environ.get("ISOFLOP_HOSTS", "").split(",")]
    hosts = (*LOCAL_HOSTS, *(host for host in named if host))
    return create_app(make_engine(settings.url), settings, hosts=hosts)
