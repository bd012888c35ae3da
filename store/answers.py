"""Tables of what was concluded from measurements, and of what was bet on it."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from store.columns import Base, Finite, Json, Utc, now


class FitRow(Base):
    """A law, what it was fitted to, and what came out."""

    __tablename__ = "fit"
    __table_args__ = (CheckConstraint("sweep_id IS NULL OR study_id IS NULL", name="one_source"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    sweep_id: Mapped[int | None] = mapped_column(ForeignKey("sweep.id"), index=True)
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"), index=True)
    law: Mapped[str] = mapped_column(String(50))
    options: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)  # objective, seed …
    measurement_ids: Mapped[list[int]] = mapped_column(Json)
    result: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)


class RecommendationRow(Base):
    """An answer for a budget, from a fit."""

    __tablename__ = "recommendation"

    id: Mapped[int] = mapped_column(primary_key=True)
    fit_id: Mapped[int] = mapped_column(ForeignKey("fit.id"), index=True)
    flops: Mapped[float] = mapped_column(Finite)  # the budget
    options: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    result: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(Utc, default=now)


class Launch(Base):
    """A forecast sealed before its final run was queued, and later the outcome beside it."""

    __tablename__ = "launch"
    __table_args__ = (
        CheckConstraint(
            "(outcome_json IS NULL) = (compared_at IS NULL)", name="outcome_with_its_time"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    recommendation_id: Mapped[int] = mapped_column(ForeignKey("recommendation.id"), index=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), unique=True)  # launched once
    forecast_json: Mapped[str]  # canonical text, exactly what was hashed
    forecast_sha256: Mapped[str] = mapped_column(String(64))
    sealed_at: Mapped[datetime] = mapped_column(Utc, default=now)
    outcome_json: Mapped[str | None]
    compared_at: Mapped[datetime | None] = mapped_column(Utc)
    cancelled_at: Mapped[datetime | None] = mapped_column(Utc)
