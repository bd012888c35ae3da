"""The folder of a run: how worker and dispatcher speak, each line of it safe against a kill.

    fence             number of the attempt whose turn it is; written before anything is started
    lock              held (flock) by the process that trains; the kernel frees it, come what may
    job-<n>.json      what attempt n was asked
    progress.jsonl    appended by the trainer        measurements.jsonl   likewise
    result.json       the trainer's result           done-<n>.json        how attempt n ended

A worker takes the lock, then reads the fence; the dispatcher writes the fence, then looks at the
lock. Whatever the order of these, two attempts never train in one folder.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


def write_json(path: Path, value: Any) -> None:
    """Whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("w") as f:
        json.dump(value, f, allow_nan=False)
        f.flush()
        os.fsync(f.fileno())
    part.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """None where there is no file, or not yet a whole one."""
    try:
        value = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def set_fence(folder: Path, attempt: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "fence", {"attempt": attempt})


def fence(folder: Path) -> int:
    return int((read_json(folder / "fence") or {}).get("attempt", 0))


def done_file(folder: Path, attempt: int) -> Path:
    return folder / f"done-{attempt}.json"


def number_of(name: str) -> int:
    """Of the attempt that is called so: "run-7-a2" is attempt 2."""
    return int(name.rsplit("-a", 1)[1])


def is_over(folder: Path, name: str) -> bool:
    """Whether the attempt of this name has said how it ended."""
    return done_file(folder, number_of(name)).exists()


@contextlib.contextmanager
def holding_lock(folder: Path, *, wait_s: float = 10.0) -> Iterator[int | None]:
    """Hold the folder's lock, by a file descriptor; None if another process holds it all the
    while. A child that inherits the descriptor holds the lock too."""
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        got = _lock(fd, time.monotonic() + wait_s)
        if got:
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield fd if got else None
    finally:
        os.close(fd)  # frees the lock, if no child has it


def _lock(fd: int, until: float, kind: int = fcntl.LOCK_EX) -> bool:
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        else:
            return True


def lock_holder(folder: Path) -> int | None:
    """Process id of whoever trains in this folder; None if nobody does."""
    try:
        fd = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        if _lock(fd, 0.0, fcntl.LOCK_SH):
            return None
        return int(os.pread(fd, 32, 0) or b"0")
    finally:
        os.close(fd)


@dataclass(kw_only=True, slots=True)
class Tail:
    """Reads the whole lines that were appended to a file since those that were taken in."""

    path: Path
    offset: int = 0
    _end: int = 0  # of what was read last

    def lines(self, limit_bytes: int = 1 << 20) -> list[dict[str, Any]]:
        """Parsed lines, the same again until `taken`; a torn or foreign line is skipped. A shorter
        file is read anew."""
        try:
            with self.path.open("rb") as f:
                if f.seek(0, os.SEEK_END) < self.offset:
                    self.offset = 0
                f.seek(self.offset)
                text = f.read(limit_bytes)
        except FileNotFoundError:
            self._end = 0
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._end = self.offset + len(whole)
        return [v for v in map(_parsed, whole.splitlines()) if v is not None]

    def taken(self) -> None:
        """What was read last is stored."""
        self.offset = self._end


@dataclass(kw_only=True, slots=True)
class Watched:
    """What a dispatcher remembers of a live attempt; all of it can be found out again."""

    progress: Tail
    measured: Tail
    said_at: float = 0.0
    asked_at: float | None = None  # to stop, last

    @classmethod
    def of(cls, folder: Path) -> Self:
        return cls(
            progress=Tail(path=folder / "progress.jsonl"),
            measured=Tail(path=folder / "measurements.jsonl"),
        )


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
