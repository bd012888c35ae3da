"""What the end of a worker means for its attempt: a result, a fault that is charged, or nobody's.

Files decide first, since a worker may die after its last word; then how the worker went.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from store.models import Attempt, Run
from sweeper import attempts, ingest
from sweeper.executor import Status

Line = Mapping[str, Any]


def conclude(
    session: Session,
    attempt: Attempt,
    ended: Line | None,
    status: Status,
    *,
    began: bool,
    asked_to_stop: bool,
    room: bool,
) -> None:
    """Bring in the attempt's end.

    Args:
        ended: its last word, if it left one.
        began: whether it was ever seen to train.
        asked_to_stop: it may have died of that before it could listen.
        room: whether the disk takes another checkpoint.
    """
    if not _is_over(ended) and not room:
        attempts.put_back(session, attempt, "the disk is full; it waits for room")
    elif ended is not None:
        ingest.conclude(session, session.get_one(Run, attempt.run_id), attempt, ended)
    elif asked_to_stop:
        attempts.put_back(session, attempt, "it was asked to stop and ended")
    elif status is Status.LOST and not began:
        attempts.put_back(session, attempt, "it never began")
    elif status is Status.LOST:
        attempts.preempt(session, attempt, "its machine or its service went away")
    else:
        died = "died" if status is Status.DEAD else "ended without a result"
        attempts.fail(session, attempt, f"its worker {died}")


def _is_over(ended: Line | None) -> bool:
    return ended is not None and ended.get("status") in ("finished", "diverged")
