"""The store under 10,000 runs: lists, the dispatcher's questions, progress.

python benchmarks/ten_thousand_runs.py [postgresql://…]
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

from sqlalchemy import insert

from store import migrate, runs, sweeps
from store.engine import make_engine, reading, writing
from store.models import Attempt, Run, Sweep, SweepRun
from store.states import AttemptState, RunState, SweepState
from sweeper import queue

N, N_RUNNING = 10_000, 64


def fill(engine: Any) -> None:
    """Half of the runs finished, 64 running, the rest queued."""
    states = [
        "finished" if i < N // 2 else "running" if i < N // 2 + N_RUNNING else "queued"
        for i in range(N)
    ]
    with writing(engine) as session:
        session.add(Sweep(name="big", spec={}, state=SweepState.RUNNING, price={}))
        session.flush()
        session.execute(
            insert(Run),
            [
                {
                    "spec": {"seed": i, "horizons": [1000]}, "spec_hash": f"{i:064d}",
                    "code_hash": "c", "corpus": "d", "data_fingerprint": "f",
                    "n_params": 10**6 + i, "n_params_total": 1, "n_params_non_embedding": 1,
                    "n_tokens": 10**8, "flops": 6e14, "state": RunState(state),
                }
                for i, state in enumerate(states)
            ],
        )  # fmt: skip
        ids = list(session.scalars(Run.__table__.select().with_only_columns(Run.id)))
        session.execute(insert(SweepRun), [{"sweep_id": 1, "run_id": i} for i in ids])
        running = [i for i, state in zip(ids, states, strict=True) if state == "running"]
        session.execute(
            insert(Attempt),
            [
                {"run_id": i, "number": 1, "worker": "w", "state": AttemptState.RUNNING}
                for i in running
            ],
        )


def p95_ms(engine: Any, act: Callable[[Any], Any], n: int = 40) -> float:
    times = []
    for _ in range(n):
        with reading(engine) as session:
            start = time.perf_counter()
            act(session)
            times.append(time.perf_counter() - start)
    return 1000 * quantiles(times, n=20)[-1]


def main() -> None:
    folder = tempfile.mkdtemp()
    url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'b.db'}"
    engine = make_engine(url)
    migrate.upgrade(engine)
    fill(engine)
    for name, act in (
        ("first page of 100 runs", lambda s: runs.list_runs(s, sweep_id=1)),
        ("page in the middle", lambda s: runs.list_runs(s, sweep_id=1, after=N // 2)),
        ("failed runs", lambda s: runs.list_runs(s, sweep_id=1, state=RunState.FAILED)),
        ("progress of the sweep", lambda s: sweeps.progress(s, 1)),
        ("what may start", queue.startable),
        ("what runs, and what is wanted of it", queue.live),
    ):
        print(f"{name:40} p95 {p95_ms(engine, act):8.1f} ms")


if __name__ == "__main__":
    main()
