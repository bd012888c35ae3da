"""Tables that keep the service in step: events, idempotency keys, leases."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, func
from sqlalchemy.orm import Mapped, mapped_column

from store.columns import Base, Json, Utc, now

_BigId = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER counts up in SQLite


class Event(Base):
    """Something happened. Append-only; the id is the id of the server-sent event."""

    __tablename__ = "event"
    __table_args__ = (
        Index("ix_event_sweep_id_id", "sweep_id", "id"),
        Index("ix_event_run_id_id", "run_id", "id"),
        {"sqlite_autoincrement": True},  # an id is never given twice
    )

    id: Mapped[int] = mapped_column(_BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(Utc, default=now)
    kind: Mapped[str] = mapped_column(String(50))
    sweep_id: Mapped[int | None] = mapped_column(ForeignKey("sweep.id"))
    run_id: Mapped[int | None] = mapped_column(ForeignKey("run.id"))
    data: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)


class IdempotencyKey(Base):
    """One POST: what was asked, and the answer that every repetition gets."""

    __tablename__ = "idempotency_key"

    key: Mapped[str] = mapped_column(String(300), primary_key=True)  # scope and client's key
    body_sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None]  # HTTP status of the answer; null while in flight
    answer: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)


class Lease(Base):
    """Who is in charge. `epoch` grows with every new holder and fences the old one's writes;
    `n_beats` grows with every renewal, so that a rival can watch it with its own stopwatch."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(String(50), primary_key=True)
    holder: Mapped[str] = mapped_column(String(200))
    epoch: Mapped[int] = mapped_column(default=1)
    n_beats: Mapped[int] = mapped_column(BigInteger, default=0)
    renewed_at: Mapped[datetime] = mapped_column(Utc, server_default=func.now())  # database time
