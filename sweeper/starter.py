"""From the queue to the executor: what waits is claimed in SQL first, then sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from sqlalchemy.orm import Session

from store.engine import reading
from store.models import Attempt, Run
from store.settings import Settings
from sweeper import attempts, faults, files, queue
from sweeper.code import code_hash
from sweeper.executor import DEFAULT_PAYLOAD, Executor, Job, Need, Ticket
from sweeper.leader import Mandate
from sweeper.resources import has_room, impossible, need_of, stack_of

log = structlog.get_logger("dispatcher")


@dataclass(kw_only=True, slots=True)
class Starter:
    """Starts what fits, in the queue's order."""

    mandate: Mandate
    settings: Settings
    executor: Executor
    checkpoint_s: float
    payload: str = DEFAULT_PAYLOAD
    code: str = field(default_factory=code_hash)  # that this service can train with

    def start_what_fits(self) -> None:
        """One after the other; the first that does not fit waits, and nobody overtakes it."""
        if not has_room(self.settings.runs):
            return  # what is queued waits for room on the disk
        with reading(self.mandate.engine) as session:
            waiting = queue.startable(session)
        while waiting:
            run = waiting[0]
            why_not = self._why_not(run)
            if why_not:
                with self.mandate.writing() as session:
                    attempts.refuse(session, session.get_one(Run, run.id), why_not)
                waiting.remove(run)
                continue
            worker = self.executor.reserve(self._need(run))
            if worker is None:
                return
            together = self._together(waiting)
            self._start(together, worker)
            waiting = [r for r in waiting if r not in together]

    def _together(self, waiting: Sequence[Run]) -> list[Run]:
        """The first, and those that are to be trained with it."""
        if not (self.executor.can_stack and self.payload == DEFAULT_PAYLOAD):
            return [waiting[0]]
        need = self._need(waiting[0])
        n_workers = 1 + self.executor.n_free(need)  # one is reserved for them
        return stack_of(waiting, on_gpu=need.n_gpus > 0, n_workers=n_workers)

    def _need(self, run: Run) -> Need:
        return need_of(run, self.executor.slots())

    def _why_not(self, run: Run) -> str | None:
        if run.code_hash != self.code:
            self.code = code_hash()  # the sources may have changed since
        if run.code_hash != self.code:
            return (
                f"it was planned with trainer code {run.code_hash[:12]} and this service has "
                f"{self.code[:12]}; submit it again"
            )
        return impossible(run, self.executor.slots())

    def _start(self, together: Sequence[Run], worker: str) -> None:
        try:
            claimed = self._claimed(together, worker)
        except Exception:  # such as of a database that went away: others may have the worker
            self.executor.release(worker)
            raise
        if not claimed:
            self.executor.release(worker)
            return
        faults.point("after_claim")
        jobs = [self._job(run, attempt) for run, attempt in claimed]
        try:
            for job in jobs:
                files.set_fence(Path(job.folder), job.attempt)
            self.executor.start(worker, jobs)
        except OSError as e:
            self.executor.release(worker)
            with self.mandate.writing() as session:
                for _, attempt in claimed:
                    found = session.get_one(Attempt, attempt.id)
                    attempts.fail(session, found, f"could not be started: {e}")
        faults.point("after_start")
        for run, attempt in claimed:
            log.info("started", job=_name(attempt), worker=worker, n_params=run.n_params)

    def _claimed(self, together: Sequence[Run], worker: str) -> list[tuple[Run, Attempt]]:
        with self.mandate.writing() as session:
            claimed = [pair for run in together if (pair := self._claim(session, run, worker))]
            for _, attempt in claimed:  # each holds its share of what the worker holds
                attempt.n_devices = (attempt.n_devices or 1) / len(claimed)
            faults.point("before_claim")
        return claimed

    def _claim(self, session: Session, run: Run, worker: str) -> tuple[Run, Attempt] | None:
        run = session.get_one(Run, run.id)
        need = self._need(run)
        n_devices = need.n_gpus or need.n_cpus
        attempt = attempts.claim(session, run, worker=worker, n_devices=n_devices)
        return (run, attempt) if attempt else None

    def _job(self, run: Run, attempt: Attempt) -> Job:
        ticket = ticket_of(attempt, self.settings)
        return Job(
            name=ticket.name,
            attempt=attempt.number,
            folder=str(ticket.folder),
            data_dir=str(self.settings.corpora / run.corpus),
            spec=run.spec,
            device=run.device,
            code_hash=run.code_hash,
            need=self._need(run),
            checkpoint_every_s=self.checkpoint_s,
            payload=self.payload,
        )


def ticket_of(attempt: Attempt, settings: Settings) -> Ticket:
    """Where an attempt was sent, by what SQL knows of it."""
    return Ticket(
        name=_name(attempt),
        worker=attempt.worker,
        folder=settings.runs / str(attempt.run_id),
    )


def _name(attempt: Attempt) -> str:
    return f"run-{attempt.run_id}-a{attempt.number}"
