"""Who is in charge. No clock decides: a rival takes over only a lease that it has itself watched
without a heartbeat for long enough on its own stopwatch, so a jumping clock loses nothing.
"""

from dataclasses import dataclass, field
from time import monotonic

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from store.columns import Utc
from store.control import Lease
from store.errors import LeaseLostError
from store.upsert import insert_once

LOOK_S = 1.0  # a watcher that looks less often has not watched


@dataclass(kw_only=True, slots=True)
class Watch:
    """What a rival has seen of a lease, and since when."""

    seen: tuple[int, int] | None = None  # epoch, beats
    since: float = field(default_factory=monotonic)
    looked: float = field(default_factory=monotonic)

    def still_for(self, lease: Lease) -> float:
        """Seconds since the lease last moved, as far as this watcher saw.

        One writer at a time: while a long transaction makes the watcher wait, the holder cannot
        beat either, so such a wait is no silence.
        """
        moment, looked = monotonic(), self.looked
        self.looked = moment
        if self.seen != (lease.epoch, lease.n_beats) or moment - looked > LOOK_S:
            self.seen, self.since = (lease.epoch, lease.n_beats), moment
        return moment - self.since


def acquire(
    session: Session, name: str, holder: str, *, watch: Watch, ttl_s: float, gone: bool = False
) -> int | None:
    """The epoch of a lease now held by `holder`, or None while someone else holds it.

    `gone` says that the caller knows the present holder to be dead (its process is).
    """
    if insert_once(session, Lease, name=name, holder=holder):
        return 1
    lease = session.get_one(Lease, name, with_for_update=True)
    if lease.holder and not gone and watch.still_for(lease) < ttl_s:
        return None
    lease.holder, lease.epoch, lease.n_beats = holder, lease.epoch + 1, 0
    session.flush()
    return lease.epoch


def hold(session: Session, name: str, epoch: int) -> None:
    """Beat, and lock the lease for this transaction: no rival can take over before it commits.

    Raises:
        LeaseLostError: the lease went to someone else; nothing may be written any more.
    """
    beaten = session.execute(
        update(Lease)
        .where(Lease.name == name, Lease.epoch == epoch, Lease.holder != "")
        .values(n_beats=Lease.n_beats + 1, renewed_at=func.now())
    )
    if beaten.rowcount != 1:  # type: ignore[attr-defined]
        raise LeaseLostError(f"lease {name!r} of epoch {epoch} went to someone else")


def release(session: Session, name: str, epoch: int) -> None:
    """Give the lease back, so that the next holder need not wait."""
    session.execute(update(Lease).where(Lease.name == name, Lease.epoch == epoch).values(holder=""))


def holder(session: Session, name: str) -> str:
    """Who holds it; empty if nobody."""
    return session.scalar(select(Lease.holder).where(Lease.name == name)) or ""


def age_s(session: Session, name: str) -> float | None:
    """Seconds since the last heartbeat, for `/readyz`; None if nobody ever held it or it was
    given back."""
    times = session.execute(
        select(Lease.renewed_at, func.now(type_=Utc)).where(Lease.name == name, Lease.holder != "")
    ).one_or_none()
    return None if times is None else float((times[1] - times[0]).total_seconds())
