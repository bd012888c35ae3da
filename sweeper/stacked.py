"""Several attempts in one worker, trained together as one batched model (`trainer.jobs`).

Each keeps its own lock, fence and end: whoever watches them sees single attempts that happen to
share a worker, and one that ends or is stopped early does not wait for the others.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sweeper import files
from sweeper.executor import Job
from sweeper.worker import broken, plain, refusal, write_ended

Stops = Mapping[str, Callable[[], bool]]  # by name of the job


def run_stack(
    jobs: Sequence[Job], *, should_stop: Stops, loaded_code: str, over: Callable[[str], object]
) -> None:
    """Train those whose turn it is, as `run_attempt` would each of them. Never raises.

    Args:
        over: is told the name of each job that is through, once its files say so.
    """
    with ExitStack() as stack:
        held = {job.name: _Held(job, over) for job in jobs}
        for each in held.values():
            stack.callback(each.close)
        mine = [each for each in held.values() if each.take(loaded_code)]
        try:
            if mine:
                _train(mine, should_stop)
        except Exception as e:  # noqa: BLE001  the dispatcher decides whether to try again
            for each in mine:
                each.end(broken(e))


class _Held:
    """A job, and the lock of its folder until it has ended."""

    def __init__(self, job: Job, over: Callable[[str], object]) -> None:
        self.job, self.over = job, over
        self.stack = ExitStack()
        self.open = True

    def take(self, loaded_code: str) -> bool:
        """Whether it is to be trained."""
        folder = Path(self.job.folder)
        lock = self.stack.enter_context(files.holding_lock(folder))
        if files.fence(folder) != self.job.attempt:
            self.close()  # requeued while we were on the way
            return False
        why_not = refusal(self.job, lock, loaded_code)
        if why_not:
            self.end(why_not)
        return why_not is None

    def end(self, ended: dict[str, Any]) -> None:
        """The first word counts."""
        if self.open:
            write_ended(self.job, ended)
            self.close()

    def close(self) -> None:
        if self.open:
            self.open = False
            self.stack.close()
            self.over(self.job.name)


def _train(mine: Sequence[_Held], should_stop: Stops) -> None:
    from trainer.config import RunSpec  # noqa: PLC0415  after the environment is set
    from trainer.jobs import Order, run_jobs  # noqa: PLC0415

    orders = [
        Order(
            folder=Path(each.job.folder),
            spec=RunSpec.from_dict(each.job.spec),
            should_stop=should_stop[each.job.name],
            on_end=lambda result, each=each: each.end(plain(result)),  # type: ignore[misc]
        )
        for each in mine
    ]
    first = mine[0].job
    run_jobs(
        orders,
        Path(first.data_dir),
        device=first.device,
        checkpoint_every_s=first.checkpoint_every_s,
    )
