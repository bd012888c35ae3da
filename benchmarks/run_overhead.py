"""Overhead of many small runs on warm workers: 1 - seconds of training / (workers x wall).

    python benchmarks/run_overhead.py --runs 200 --tokens 1e6
    python benchmarks/run_overhead.py --runs 16 --params 2e4 --tokens 5e5 [--stack]

Wall runs from the first run's start to the last one's end, the service's own start apart; training
is `train_seconds` of the results: model, steps, evaluation, files. What is left is the dispatcher,
the database, Ray, the workers' first imports, and the last worker's wait for nobody.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import select

from store import migrate
from store.engine import make_engine, reading, writing
from store.models import Attempt
from store.settings import Settings
from store.sweeps import get_sweep
from sweeper import ray_head
from sweeper.spec import parse
from sweeper.submit import plan_for, submit
from trainer.data.prepare import prepare


def ask(settings: Settings, engine: Any, args: argparse.Namespace) -> int:
    """A sweep of equal runs that differ by seed."""
    prepare(settings.corpora / "default", max_bytes=20_000_000)
    spec = parse(
        {
            "name": "overhead", "sizes": [args.params], "tokens": [args.tokens],
            "seeds": list(range(args.runs)), "context": 64, "stack": args.stack,
        }
    )  # fmt: skip
    with writing(engine) as session:
        return submit(session, spec, plan_for(settings, spec)).id


def wait(engine: Any, sweep_id: int, service: subprocess.Popen[bytes]) -> None:
    while True:
        with reading(engine) as session:
            if get_sweep(session, sweep_id).ended_at is not None:
                return
        assert service.poll() is None, "the dispatcher ended"
        time.sleep(1)


def report(engine: Any, n_workers: int, ready_s: float) -> None:
    with reading(engine) as session:
        attempts = list(session.scalars(select(Attempt).order_by(Attempt.started_at)))
    assert all(a.train_seconds for a in attempts), "not every run finished"
    wall = (max(a.ended_at for a in attempts) - attempts[0].started_at).total_seconds()
    trained = sum(a.train_seconds * a.n_devices for a in attempts)
    around = [(a.ended_at - a.started_at).total_seconds() - a.train_seconds for a in attempts]
    ends = [
        max(a.ended_at for a in attempts if a.worker == w) for w in {a.worker for a in attempts}
    ]
    idle = sum((max(ends) - end).total_seconds() for end in ends)
    print(f"{len(attempts)} runs, {n_workers} workers: wall {wall:.1f} s, training {trained:.1f} s")
    print(f"overhead {1 - trained / (n_workers * wall):.2%}; service ready after {ready_s:.1f} s")
    print(
        f"  a run trains {median(a.train_seconds for a in attempts):.2f} s and holds its worker "
        f"{median(around):.2f} s longer (the first of each worker {max(around):.2f} s); "
        f"a worker waits at the end {idle:.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--params", type=float, default=1e5)
    parser.add_argument("--tokens", type=float, default=1e6)
    parser.add_argument("--stack", action="store_true", help="train runs together")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    settings = Settings(home=Path(tempfile.mkdtemp()) / "home", database_url="")
    settings.home.mkdir()
    engine = make_engine(settings.url)
    migrate.upgrade(engine)
    sweep_id = ask(settings, engine, args)
    started = time.monotonic()
    isoflop = Path(sys.executable).with_name("isoflop")
    command = [isoflop, "work", "--home", settings.home, "--cpus", str(args.workers)]
    service = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not any(settings.runs.glob("*/")):
            assert service.poll() is None, "the dispatcher ended"
            time.sleep(0.05)
        ready_s = time.monotonic() - started
        wait(engine, sweep_id, service)
    finally:
        service.terminate()
        service.wait()
        ray_head.stop_head(settings.home)
    report(engine, args.workers, ready_s)


if __name__ == "__main__":
    main()
