"""The main job from a newcomer's seat: every step but the corpus goes through REST.

Each step asks the service, which remembers everything, so that a resumed demo walks the same
steps and finds them done.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from fitting.errors import RefusalError
from sweeper.client import Client
from sweeper.demo import show
from sweeper.demo.home import DemoHome
from sweeper.demo.question import DEMO, Question
from sweeper.demo.service import running

Json = dict[str, Any]
POLL_S = 0.5
OVER = ("finished", "cancelled", "failed")
FIGURES = ("isoflop", "frontier", "allocation")
FORMS = ("png", "svg")


def tell(home: DemoHome, question: Question = DEMO) -> Json:
    """The whole demo in `home`; returns the launch with forecast and outcome."""
    began = time.monotonic()
    prepare_corpus(home.folder, question)
    show.heading(2, "Start the service (API and dispatcher, SQLite, local Ray)")
    with running(home.folder) as client:
        show.line(f"{client.url} answers; from here on everything goes through REST")
        sweep = run_sweep(client, question, home.key)
        fit = fit_sweep(client, question, sweep["id"])
        recommendation = recommend(client, question, fit)
        launch = run_final(client, recommendation, home.key)
        files = draw(client, sweep["id"], fit["id"], home.folder)
    show.outcome(launch)
    show.farewell(files, home.folder, time.monotonic() - began)
    return launch


def prepare_corpus(folder: Path, question: Question) -> None:
    """Step 1: real text without a download."""
    from trainer.data.manifest import Manifest  # noqa: PLC0415 - numpy, only for this step
    from trainer.data.prepare import prepare  # noqa: PLC0415

    show.heading(1, "Prepare a corpus from the sources of the installed packages")
    out, began = folder / "corpora" / question.corpus, time.monotonic()
    if not (out / "manifest.json").is_file():
        prepare(out, domains=question.domains, max_bytes=question.max_bytes)
    manifest = Manifest.load(out)
    show.corpus(manifest.to_dict(), time.monotonic() - began)


def run_sweep(client: Client, question: Question, key: str) -> Json:
    """Steps 3 and 4: price, submit once, watch."""
    show.heading(3, "What the sweep would do and cost (dry run), then submit it")
    spec = question.sweep_spec()
    show.plan(client.plan(spec), n_asked=question.n_asked)
    sweep = client.submit(spec, key=f"{key}-sweep")
    show.line(f"submitted as sweep {sweep['id']}: {client.url}/sweeps/{sweep['id']}")
    show.heading(4, "Train: one thread per run, one run per core")
    sweep = follow("sweep", lambda: _sweep_state(client, sweep["id"]))
    if sweep["state"] != "finished":
        raise RefusalError(
            f"the sweep ended as {sweep['state']}: {sweep['reason']}", code="sweep_over"
        )
    return sweep


def fit_sweep(client: Client, question: Question, sweep_id: int) -> Json:
    """Step 5: all approaches, held-out budgets, which one to trust."""
    began = time.monotonic()
    fit = next(client.fits(sweep_id=sweep_id), None) or client.fit(
        sweep_id=sweep_id, law="auto", n_bootstrap=question.n_bootstrap
    )
    show.measurements(client.measurements(sweep_id)["items"])
    show.heading(
        5,
        f"Fit approaches 1, 2 and 3 ({question.n_bootstrap} bootstraps each, "
        f"{time.monotonic() - began:.1f} s)",
    )
    show.analysis(fit)
    return fit


def recommend(client: Client, question: Question, fit: Json) -> Json:
    """Step 6: what to train on ten times the largest budget."""
    show.heading(6, f"Which model does {question.final_flops:.3g} FLOP buy?")
    answer = next(client.recommendations(fit_id=fit["id"]), None) or client.recommend(
        fit_id=fit["id"], budget=f"{question.final_flops:.0f}FLOP"
    )
    show.recommendation(answer)
    return answer


def run_final(client: Client, recommendation: Json, key: str) -> Json:
    """Step 7: seal, train with the same trainer, compare."""
    show.heading(7, "Seal the forecast, then train the final run")
    launch = client.launch(recommendation["id"], key=f"{key}-launch")
    show.line(f"forecast sealed {launch['sealed_at']}, SHA-256 {launch['forecast_sha256'][:16]}…")
    return follow("final run", lambda: _launch_state(client, launch["id"]))


def draw(client: Client, sweep_id: int, fit_id: int, folder: Path) -> list[Path]:
    """Step 8: figures and the report."""
    show.heading(8, "Draw the plots and the report")
    files = []
    for kind in FIGURES:
        for form in FORMS:
            file = folder / f"{kind}.{form}"
            file.write_bytes(client.plot(kind, form, fit_id=fit_id))
            files.append(file)
    report = folder / "report.html"
    report.write_text(client.report(sweep_id=sweep_id))
    return [*files, report]


def follow(name: str, ask: Callable[[], tuple[Json, float, str]]) -> Json:
    """Poll until over. `ask` returns the document, the share done, and a line about it."""
    columns = (
        TextColumn("   {task.description}"), BarColumn(30), TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(), TextColumn("{task.fields[about]}"),
    )  # fmt: skip
    with Progress(*columns, console=show.CONSOLE) as bar:
        task, began = bar.add_task(name, total=1.0, about=""), time.monotonic()
        while True:
            document, share, about = ask()
            left = _left(time.monotonic() - began, share)
            bar.update(task, completed=share, about=f"{about}{left}")
            if document["over"]:
                return document
            time.sleep(POLL_S)


def _left(spent_s: float, share: float) -> str:
    if not 0.03 < share < 1:
        return ""
    return f", about {show.seconds(spent_s * (1 - share) / share)} left"


def _sweep_state(client: Client, sweep_id: int) -> tuple[Json, float, str]:
    sweep = client.sweep(sweep_id)
    p = sweep["progress"]
    losses = [r["last_loss"] for r in client.runs(sweep_id) if r["last_loss"]]
    best = f", lowest loss so far {min(losses):.3f}" if losses else ""
    about = f"{p['n_over']}/{p['n_runs']} runs, {p['flops_done']:.2e} FLOP{best}"
    return sweep | {"over": sweep["state"] in OVER}, p["flops_done"] / p["flops"], about


def _launch_state(client: Client, launch_id: int) -> tuple[Json, float, str]:
    launch = client.launch_status(launch_id)
    run = client.run(launch["run_id"])
    over = launch["outcome"] is not None or run["state"] in ("failed", "cancelled")
    loss = f"loss {run['last_loss']:.3f}" if run["last_loss"] else "starting"
    speed = f", {show.count(run['tok_s'])} tokens/s" if run["tok_s"] else ""
    share = 1.0 if over else run["n_tokens_done"] / run["n_tokens"]
    return launch | {"over": over}, share, loss + speed
