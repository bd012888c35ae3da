"""Many runs in one process: those of one shape as a stack, what does not stack one by one.

Each keeps its own folder, journal, checkpoints and result, as `run_job` would have left them.
"""

import gc
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from trainer import checkpoint
from trainer.alike import check_alike
from trainer.attempt import Attempt
from trainer.checkpoint import Checkpoint
from trainer.compiling import Compile
from trainer.config import RunSpec
from trainer.data.manifest import Manifest
from trainer.execution import Execution, choose_execution
from trainer.job import run_job
from trainer.meters import is_oom, sigterm
from trainer.result import Result, Status
from trainer.session import Session
from trainer.stack import Stack
from trainer.threads import using_threads, with_threads
from trainer.train import Measured, Stepped, train
from trainer.validate import validate
from trainer.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One run that is wanted, whether it still is, and who wants to know when it is over."""

    folder: Path
    spec: RunSpec
    should_stop: Callable[[], bool] = lambda: False
    on_end: Callable[[Result], None] = lambda _: None

    def done(self) -> Result | None:
        result = Result.load(self.folder)
        same = result is not None and result.spec_hash == self.spec.fingerprint()
        return result if result and same and result.final else None


Begun = tuple[Order, Checkpoint | None]  # where it goes on; None: it has not begun


def run_jobs(
    orders: Sequence[Order],
    data_dir: Path,
    *,
    device: str = "auto",
    compile: Compile = "auto",  # noqa: A002
    checkpoint_every_s: float = 60.0,
) -> list[Result]:
    """Train all of `orders`, together where they stand at the same step; results in their order.

    Runs that were stopped at different steps go on in groups. The same group goes on bit for bit,
    another one within float noise. Without the memory for all at once they are trained one by one.

    Raises:
        InputError: they are not alike, or as `run_job`; nothing was allocated.
    """
    check_alike([order.spec for order in orders])
    manifest = Manifest.load(data_dir)
    for order in orders:
        validate(order.spec, manifest)
    todo = []
    for order in orders:
        done = order.done()
        order.on_end(done) if done else todo.append(order)
    checkpoint.level([order.folder / checkpoint.FOLDER for order in todo])
    groups: dict[object, list[Begun]] = {}
    for order in todo:
        found = checkpoint.of_run(order.folder, order.spec)
        groups.setdefault(_standing(order, found), []).append((order, found))
    how = _How(data_dir, device, compile, checkpoint_every_s)
    for group in groups.values():
        left = _together(group, how) if len(group) > 1 else [group[0][0]]
        for order in left:
            _alone(order, how)
    return [result for o in orders if (result := Result.load(o.folder)) is not None]


@dataclass(frozen=True, slots=True)
class _How:
    data_dir: Path
    device: str
    compile: Compile
    checkpoint_every_s: float


def _standing(order: Order, found: Checkpoint | None) -> object:
    """Orders with the same may go on together. One that lacked memory before goes on alone."""
    before = Result.load(order.folder)
    if before is not None and before.status == "oom":
        return order.folder
    if found is None:
        return None
    e = found.meta["execution"]
    if e.get("n_parts", 1) > 1 or e.get("recompute") or e.get("graph"):
        return order.folder
    where = (found.meta["segment"], found.meta["step"])
    return (*where, e["precision"], e["compiled"], e["device"], e.get("n_threads", 1))


def _alone(order: Order, how: _How) -> None:
    result = run_job(
        order.folder,
        order.spec,
        how.data_dir,
        device=how.device,
        compile=how.compile,
        should_stop=order.should_stop,
        checkpoint_every_s=how.checkpoint_every_s,
    )
    order.on_end(result)


def _together(group: Sequence[Begun], how: _How) -> list[Order]:
    """Those that are left to be trained one by one, because the memory was not enough for all; by
    then nothing of the stack is held."""
    orders, first = [order for order, _ in group], group[0]
    spec, meta = first[0].spec, first[1].meta if first[1] else None
    execution = choose_execution(spec, how.device, how.compile, resumed=meta, n_stacked=len(orders))
    execution = with_threads(spec, execution, resumed=meta)
    over: set[Path] = set()
    try:
        with sigterm() as told, using_threads(execution.n_threads):
            _stacked(group, execution, how, told, over)
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as e:
        if not is_oom(e):
            raise
        traceback.clear_frames(e.__traceback__)
    else:
        return []
    gc.collect()
    return [order for order in orders if order.folder not in over]


def _stacked(
    group: Sequence[Begun],
    execution: Execution,
    how: _How,
    told: Callable[[], bool],
    over: set[Path],
) -> None:
    orders = [order for order, _ in group]
    attempts = [_attempt(order, execution, how, told) for order in orders]
    opened = zip(attempts, group, strict=True)
    sessions = [attempt.open(how.data_dir, found, World()) for attempt, (_, found) in opened]
    _lockstep(orders, attempts, sessions, over)


def _attempt(order: Order, execution: Execution, how: _How, told: Callable[[], bool]) -> Attempt:
    order.folder.mkdir(parents=True, exist_ok=True)
    stop = order.should_stop
    return Attempt(
        order.folder, order.spec, execution, how.checkpoint_every_s, lambda: told() or stop()
    )


def _lockstep(
    orders: Sequence[Order],
    attempts: Sequence[Attempt],
    sessions: Sequence[Session],
    over: set[Path],
) -> None:
    """One event of each, then all are looked at: within a round losses are not there yet.

    `over` gets the folders of those that have ended.
    """
    stack = Stack(sessions)
    events = {k: train(s, stack.step_of(k)) for k, s in enumerate(sessions)}
    for attempt, session in zip(attempts, sessions, strict=True):
        attempt.begin(session)
    while events:
        round_: dict[int, Stepped | Measured | None] = {k: next(e, None) for k, e in events.items()}
        for k, event in round_.items():
            ended = attempts[k].handle(event, sessions[k]) if event else _FINISHED
            if ended:
                _end(orders[k], attempts[k].result(*ended))
                over.add(orders[k].folder)
                stack.leave(k)
                del events[k]


_FINISHED: tuple[Status, str] = ("finished", "")


def _end(order: Order, result: Result) -> None:
    result.save(order.folder)
    order.on_end(result)
