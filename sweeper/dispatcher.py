"""The loop between SQL and the executor: the only driver, the only writer of results.

SQL is the truth; what executes is brought in line with it, one small transaction at a time:

    look     at every live attempt: its files, its worker, what is wanted of it
    start    queued runs, while there is room: claim in SQL first, then send
    reap     whatever executes without SQL's knowledge

A kill between any two lines loses nothing: the next dispatcher adopts what lives and reads what
was written. Nothing is queued again before its worker is fenced off and certainly dead.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from store.engine import reading
from store.errors import FencedError, LeaseLostError
from store.models import Attempt, Run
from store.settings import Settings
from store.states import AttemptState
from sweeper import attempts, ending, faults, files, ingest, limits, queue
from sweeper.code import code_hash
from sweeper.executor import DEFAULT_PAYLOAD, Executor, Status, Ticket
from sweeper.files import Watched
from sweeper.leader import Mandate
from sweeper.queue import Wish
from sweeper.resources import has_room
from sweeper.starter import Starter, ticket_of

log = structlog.get_logger("dispatcher")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Seconds between things."""

    poll_s: float = 0.2
    beat_s: float = 1.0
    say_s: float = 2.0  # progress events of one run
    ask_s: float = 1.0  # before a worker is asked again to stop
    reap_s: float = 10.0
    check_s: float = 2.0  # that there is anything to execute on
    checkpoint_s: float = 15.0
    drain_s: float = 8.0
    database_s: float = 2.0  # before trying again when the database is away


@dataclass(kw_only=True, slots=True)
class Dispatcher:
    """Owns the executor while it holds the lease of epoch `epoch`."""

    engine: Engine
    settings: Settings
    executor: Executor
    epoch: int
    pace: Pace = field(default_factory=Pace)
    payload: str = DEFAULT_PAYLOAD
    mandate: Mandate = field(init=False)
    starter: Starter = field(init=False)
    _watched: dict[int, Watched] = field(default_factory=dict)  # by attempt id
    _reaped_at: float = 0.0
    _checked_at: float = 0.0

    def __post_init__(self) -> None:
        self.mandate = Mandate(engine=self.engine, epoch=self.epoch, beat_s=self.pace.beat_s)
        self.starter = Starter(
            mandate=self.mandate,
            settings=self.settings,
            executor=self.executor,
            checkpoint_s=self.pace.checkpoint_s,
            payload=self.payload,
        )

    # -- the loop ----------------------------------------------------------------------

    def run(self, should_stop: Callable[[], bool], *, drain: bool) -> None:
        """Until told to stop. `drain`: have the workers write checkpoints and end; otherwise they
        go on and the next dispatcher adopts them.

        Raises:
            LeaseLostError: someone else is in charge.
            ExecutorLostError: there is nothing to execute on.
        """
        act = self.adopt  # before anything else: what is not adopted looks lost
        while not should_stop():
            if self._patiently(act):
                act = self.tick
            self.executor.rest(self.pace.poll_s)
        if drain:
            self._patiently(self.drain)

    def _patiently(self, act: Callable[[], None]) -> bool:
        """Whether it was done: a database that is away is waited for, while what runs goes on and
        spools to its files."""
        try:
            act()
        except OperationalError as e:
            log.warning("the database does not answer", error=str(e.orig))
            self.engine.dispose()
            time.sleep(self.pace.database_s)
            return False
        return True

    def tick(self) -> None:
        if time.monotonic() - self._checked_at > self.pace.check_s:
            self.executor.check()
            self._checked_at = time.monotonic()
        self.mandate.beat()
        self.look()
        self.starter.start_what_fits()
        if time.monotonic() - self._reaped_at > self.pace.reap_s:
            self.reap()
            self.hold_limits()

    def adopt(self) -> None:
        """Find again what an earlier dispatcher started."""
        with reading(self.engine) as session:
            tickets = [self._ticket(attempt) for attempt, _, _ in queue.live(session)]
        self.executor.adopt(tickets)
        self.reap()
        log.info("in charge", epoch=self.epoch, adopted=len(tickets))

    def reap(self) -> None:
        with reading(self.engine) as session:
            known = {self._ticket(attempt).name for attempt, _, _ in queue.live(session)}
        for name in self.executor.reap(known):
            log.warning("killed an orphan", job=name)
        self._reaped_at = time.monotonic()

    def hold_limits(self) -> None:
        with self.mandate.writing() as session:
            for sweep_id in limits.stop_what_is_over(session):
                log.warning("stopped at its limit", sweep=sweep_id)

    # -- what runs ---------------------------------------------------------------------

    def look(self) -> None:
        """Every live attempt: poll its worker, read its files, do what is wanted."""
        with reading(self.engine) as session:
            live = queue.live(session)
        self._watched = {a.id: self._watched.get(a.id) or self._watch(a) for a, _, _ in live}
        polled = self.executor.poll([self._ticket(attempt) for attempt, _, _ in live])
        for attempt, run, wish in live:
            ticket = self._ticket(attempt)
            try:
                self._look_at(attempt, run, wish, ticket, polled[ticket.name])
            except LeaseLostError:
                raise
            except FencedError as e:
                log.warning("a late word does not count", why=str(e))

    def _look_at(
        self, attempt: Attempt, run: Run, wish: Wish, ticket: Ticket, status: Status
    ) -> None:
        if wish is Wish.DROP:
            self._drop(attempt, ticket)
        elif status is Status.RUNNING:
            self._follow(attempt, run)
            if wish is Wish.WAIT:
                self._ask_to_stop(attempt, ticket)
        elif status is not Status.UNKNOWN:
            self._end(attempt, run, ticket, status)

    def _follow(self, attempt: Attempt, run: Run) -> None:
        """Bring in what a running attempt wrote since last time."""
        watched = self._watched[attempt.id]
        lines, points = watched.progress.lines(), watched.measured.lines()
        if not lines and not points and attempt.state is AttemptState.RUNNING:
            return
        with self.mandate.writing() as session:
            run = session.get_one(Run, run.id)
            attempts.attempt_runs(session, session.get_one(Attempt, attempt.id))
            if lines:
                ingest.progress(session, run, lines)
            ingest.measured(session, run, points)
            if lines and time.monotonic() - watched.said_at > self.pace.say_s:
                ingest.say_progress(session, run)
                watched.said_at = time.monotonic()
        watched.progress.taken()
        watched.measured.taken()

    def _ask_to_stop(self, attempt: Attempt, ticket: Ticket) -> None:
        """Now and then again: a word that comes before the worker listens is lost."""
        watched = self._watched[attempt.id]
        if watched.asked_at is None or time.monotonic() - watched.asked_at > self.pace.ask_s:
            self.executor.stop(ticket)
            watched.asked_at = time.monotonic()

    def _drop(self, attempt: Attempt, ticket: Ticket) -> None:
        if self._fence_off(ticket):
            with self.mandate.writing() as session:
                attempts.cancelled(session, session.get_one(Attempt, attempt.id))

    def _fence_off(self, ticket: Ticket) -> bool:
        """After this nobody trains for this attempt, not even a worker still on its way."""
        files.set_fence(ticket.folder, 0)
        return self.executor.kill(ticket)

    def _end(self, attempt: Attempt, run: Run, ticket: Ticket, status: Status) -> None:
        """Its worker is through, dead or lost: what the files say counts."""
        ended = ingest.ending(ticket.folder, attempt.number, run.spec_hash)
        if ended is None and not self._fence_off(ticket):
            return  # something still holds the folder: look again
        ended = ended or ingest.ending(ticket.folder, attempt.number, run.spec_hash)
        faults.point("before_result")
        self._follow(attempt, run)
        with self.mandate.writing() as session:
            ending.conclude(
                session,
                session.get_one(Attempt, attempt.id),
                ended,
                status,
                began=attempt.state is not AttemptState.STARTING,
                asked_to_stop=self._watched[attempt.id].asked_at is not None,
                room=has_room(self.settings.runs),
            )
        faults.point("after_result")
        log.info("attempt over", job=ticket.name, status=(ended or {}).get("status", status.value))
        if ended is not None and ended.get("status") == "stale":
            self._fence_off(ticket)
            self.starter.code = code_hash()

    # -- the end -----------------------------------------------------------------------

    def drain(self) -> None:
        """Ask every worker for a checkpoint and take in what they say, for a few seconds; who
        does not answer is found again by the next dispatcher."""
        until = time.monotonic() + self.pace.drain_s
        while time.monotonic() < until:
            with reading(self.engine) as session:
                live = [attempt for attempt, _, _ in queue.live(session)]
            if not live:
                break
            for attempt in live:
                self._watched.setdefault(attempt.id, self._watch(attempt))
                self._ask_to_stop(attempt, self._ticket(attempt))
            time.sleep(self.pace.poll_s)
            self.look()

    def _watch(self, attempt: Attempt) -> Watched:
        return Watched.of(self._ticket(attempt).folder)

    def _ticket(self, attempt: Attempt) -> Ticket:
        return ticket_of(attempt, self.settings)
