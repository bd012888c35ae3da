"""Tables of the sweep: what was asked for, what ran, what it measured.

Types say what is stored; constraints say what is true of it. `store.answers` has the tables of
what was concluded, `store.control` those that only keep the service in step.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from store.columns import Base, Finite, Json, Utc, now, word_column
from store.states import AttemptState, RunKind, RunState, SweepState


class Sweep(Base):
    """A question: a plan of runs with a budget, and its state."""

    __tablename__ = "sweep"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    spec: Mapped[dict[str, Any]] = mapped_column(Json)  # SweepSpec
    state: Mapped[SweepState] = mapped_column(word_column(SweepState), index=True)
    price: Mapped[dict[str, Any]] = mapped_column(Json)  # the plan's totals
    notes: Mapped[list[Any]] = mapped_column(Json, default=list)  # points the plan left out
    limit_flops: Mapped[float | None] = mapped_column(Finite)
    limit_usd: Mapped[float | None] = mapped_column(Finite)
    limit_hours: Mapped[float | None] = mapped_column(Finite)  # device-hours
    reason: Mapped[str | None]  # why it failed, or who cancelled it
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)
    ended_at: Mapped[datetime | None] = mapped_column(Utc)


class Run(Base):
    """One training job. Its identity is what is trained and with which code; never deleted."""

    __tablename__ = "run"
    __table_args__ = (
        UniqueConstraint("spec_hash", "code_hash"),
        CheckConstraint("n_params > 0 AND n_tokens > 0 AND flops > 0", name="positive_counts"),
        CheckConstraint("n_cpus > 0", name="positive_cpus"),
        Index("ix_run_state_id", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[RunKind] = mapped_column(word_column(RunKind, "kind"), default=RunKind.SWEEP)
    spec: Mapped[dict[str, Any]] = mapped_column(Json)  # trainer.config.RunSpec
    spec_hash: Mapped[str] = mapped_column(String(64))
    code_hash: Mapped[str] = mapped_column(String(64))
    corpus: Mapped[str] = mapped_column(String(200))  # folder under <home>/corpora
    data_fingerprint: Mapped[str] = mapped_column(String(128))
    n_params: Mapped[int] = mapped_column(BigInteger)  # N of the law
    n_params_total: Mapped[int] = mapped_column(BigInteger)
    n_params_non_embedding: Mapped[int] = mapped_column(BigInteger)
    n_tokens: Mapped[int] = mapped_column(BigInteger)  # D of the last horizon
    flops: Mapped[float] = mapped_column(Finite)  # of the whole job; 6 N D overflows BIGINT
    budgets: Mapped[list[Any]] = mapped_column(Json, default=list)  # [horizon, asked FLOP] pairs
    device: Mapped[str] = mapped_column(String(16), default="auto")  # auto, cpu, cuda
    n_cpus: Mapped[int] = mapped_column(default=1)
    n_processes: Mapped[int | None]  # that train it together; null: as many as its machine suggests
    stack: Mapped[bool] = mapped_column(default=False)  # may be trained together with its like
    state: Mapped[RunState] = mapped_column(word_column(RunState), default=RunState.QUEUED)
    reason: Mapped[str | None]  # why it is where it is, for people
    n_failures: Mapped[int] = mapped_column(default=0)
    max_failures: Mapped[int] = mapped_column(default=3)
    n_preemptions: Mapped[int] = mapped_column(default=0)
    max_preemptions: Mapped[int] = mapped_column(default=20)
    not_before: Mapped[datetime | None] = mapped_column(Utc)  # a retry waits until then
    n_tokens_done: Mapped[int] = mapped_column(BigInteger, default=0)  # progress, for people
    last_loss: Mapped[float | None] = mapped_column(Finite)
    tok_s: Mapped[float | None] = mapped_column(Finite)
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)
    started_at: Mapped[datetime | None] = mapped_column(Utc)
    ended_at: Mapped[datetime | None] = mapped_column(Utc)


class SweepRun(Base):
    """Which sweeps want which runs: an identical point is trained once for both."""

    __tablename__ = "sweep_run"

    sweep_id: Mapped[int] = mapped_column(ForeignKey("sweep.id"), primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True, index=True)


class Attempt(Base):
    """One execution of a run. The number is its fencing token: only the latest may write."""

    __tablename__ = "attempt"
    __table_args__ = (
        UniqueConstraint("run_id", "number"),
        Index(
            "uq_attempt_live",
            "run_id",
            unique=True,
            sqlite_where=text("state IN ('starting', 'running')"),
            postgresql_where=text("state IN ('starting', 'running')"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    number: Mapped[int]  # 1, 2, …
    worker: Mapped[str] = mapped_column(String(100))  # the executor's name for it
    state: Mapped[AttemptState] = mapped_column(word_column(AttemptState))
    reason: Mapped[str | None]
    device: Mapped[str | None] = mapped_column(String(100))
    # Cores or GPUs it holds, a share of them when runs train together; once over, cores it used.
    n_devices: Mapped[float | None] = mapped_column(Finite)
    train_seconds: Mapped[float | None] = mapped_column(Finite)  # the run's, on its last attempt
    energy_kwh: Mapped[float | None] = mapped_column(Finite)  # measured; null: no meter
    energy_source: Mapped[str | None] = mapped_column(String(100))  # "nvml: one GPU board"
    started_at: Mapped[datetime] = mapped_column(Utc, default=now)
    ended_at: Mapped[datetime | None] = mapped_column(Utc)


class CurvePoint(Base):
    """Training progress, at most `store.curves.N_BINS` points a run."""

    __tablename__ = "curve_point"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    branch: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # 0 trunk, else its horizon
    bin: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[int]
    n_tokens: Mapped[int] = mapped_column(BigInteger)
    loss: Mapped[float | None] = mapped_column(Finite)  # null where it was not finite
    lr: Mapped[float | None] = mapped_column(Finite)
    grad_norm: Mapped[float | None] = mapped_column(Finite)
    tok_s: Mapped[float | None] = mapped_column(Finite)
    seconds: Mapped[float | None] = mapped_column(Finite)


class Study(Base):
    """Measurements from elsewhere."""

    __tablename__ = "study"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    about: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)  # tokenizer, unit, source …
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)


class Measurement(Base):
    """One evaluated point: N, D, loss, FLOPs. The unit of a fit."""

    __tablename__ = "measurement"
    __table_args__ = (
        CheckConstraint("(run_id IS NULL) <> (study_id IS NULL)", name="run_xor_study"),
        CheckConstraint("n_params > 0 AND n_tokens > 0 AND flops > 0", name="positive_counts"),
        UniqueConstraint("run_id", "n_tokens"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("run.id"))
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"), index=True)
    n_params: Mapped[float] = mapped_column(Finite)  # other people's counts may be rounded
    n_tokens: Mapped[float] = mapped_column(Finite)
    loss: Mapped[float] = mapped_column(Finite)  # nats/token unless the study says otherwise
    flops: Mapped[float] = mapped_column(Finite)
    loss_se: Mapped[float | None] = mapped_column(Finite)
    bits_per_byte: Mapped[float | None] = mapped_column(Finite)
    decayed: Mapped[bool | None]
    flops_exact: Mapped[float | None] = mapped_column(Finite)
    n_params_total: Mapped[float | None] = mapped_column(Finite)
    n_params_non_embedding: Mapped[float | None] = mapped_column(Finite)
    unique_tokens: Mapped[float | None] = mapped_column(Finite)
    budget_flops: Mapped[float | None] = mapped_column(Finite)
    group_name: Mapped[str | None] = mapped_column(String(200))
    tokenizer: Mapped[str | None] = mapped_column(String(200))
    extra: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)  # columns we have no name for
