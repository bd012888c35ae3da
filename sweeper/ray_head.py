"""A Ray cluster of this home's own: started once, found again, and alone stopped.

Everything it starts lives in one session of the operating system, so stopping it never touches
another cluster of this machine (`ray stop` would stop them all). Clients must show a token that
only this user can read.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fitting.errors import InputError
from sweeper import files

START_S = 90.0
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A running head: where it answers, and the session of processes that it is."""

    address: str
    session_id: int


def namespace(home: Path) -> str:
    """Actors of one home are invisible to another's dispatcher."""
    return "isoflop-" + hashlib.sha256(str(home).encode()).hexdigest()[:12]


def authenticate(home: Path) -> None:
    """Make this process and its children show our token; make the token if there is none.

    Must come before `import ray`.
    """
    path = home / "ray-token"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as f:
                f.write(secrets.token_hex(32))
    os.environ.update(QUIET | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(path)})


def ensure_head(home: Path, *, n_cpus: int | None = None) -> Head:
    """The head of this home: the one that lives, or a new one.

    Raises:
        InputError: it did not come up; the message ends with its log.
    """
    authenticate(home)
    known = running_head(home)
    if known is not None:
        return known
    stop_head(home)  # what may be left of a dead one
    folder = _temp(home)
    address_file = folder / "ray_current_cluster"
    address_file.unlink(missing_ok=True)
    log = home / "ray-head.log"
    child = _start(folder, log, n_cpus or os.cpu_count() or 1)
    files.write_json(home / "ray.json", {"session_id": child.pid, "temp": str(folder)})
    until = time.monotonic() + START_S
    while not address_file.exists() or not address_file.read_text().strip():
        if child.poll() is not None or time.monotonic() > until:
            stop_head(home)
            raise InputError(f"Ray did not start; {log} ends with: {log.read_text()[-800:]}")
        time.sleep(0.1)
    child.returncode = 0  # it outlives this process, so nobody here waits for it
    address = address_file.read_text().strip()
    files.write_json(
        home / "ray.json", {"session_id": child.pid, "temp": str(folder), "address": address}
    )
    return Head(address=address, session_id=child.pid)


def _temp(home: Path) -> Path:
    """Short, because paths of Unix sockets have at most 107 characters."""
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:10]
    return Path(tempfile.gettempdir()) / f"isoflop-{digest}"


def _start(folder: Path, log: Path, n_cpus: int) -> subprocess.Popen[bytes]:
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--port=0",
        "--include-dashboard=false", "--disable-usage-stats", f"--num-cpus={n_cpus}",
        "--object-store-memory=100000000", f"--temp-dir={folder}",
    ]  # fmt: skip
    with log.open("wb") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def running_head(home: Path) -> Head | None:
    """The head that this home's file names, if all of it is alive."""
    known = files.read_json(home / "ray.json") or {}
    session_id, address = known.get("session_id"), known.get("address")
    if not session_id or not address:
        return None
    commands = [command for _, command in _session(session_id, str(known["temp"]))]
    alive = all(any(part in c for c in commands) for part in ("gcs_server", "raylet/raylet"))
    return Head(address=address, session_id=session_id) if alive else None


def stop_head(home: Path) -> None:
    """Kill this home's cluster, workers included, and nothing else. Checkpoints are on disk, so
    nothing is lost that was not lost already."""
    known = files.read_json(home / "ray.json") or {}
    if not known.get("session_id"):
        return
    for _ in range(50):
        left = _session(known["session_id"], str(known["temp"]))
        for pid, _ in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            shutil.rmtree(_temp(home), ignore_errors=True)  # its sockets and logs
            break
        time.sleep(0.1)
    (home / "ray.json").unlink(missing_ok=True)


def _session(session_id: int, temp: str) -> list[tuple[int, str]]:
    """(pid, command) of every process of that session; none if the session is not ours any more
    (the number was given to another)."""
    found = [(pid, command) for pid, session, command in _processes() if session == session_id]
    ours = any(temp in command or command.startswith("ray::") for _, command in found)
    return found if ours else []


def _processes() -> Iterator[tuple[int, int, str]]:
    """(pid, session, command) of every process that is not a zombie."""
    if not Path("/proc/self").exists():  # not Linux
        shown = subprocess.check_output(["ps", "-A", "-o", "pid=,sess=,args="], text=True)
        for line in shown.splitlines():
            number, session, *rest = line.split(maxsplit=2)
            yield int(number), int(session, 16), rest[0] if rest else ""
        return
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):  # it ended, or is no process
            pid = int(folder.name)
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            if command:  # a zombie has none
                yield pid, os.getsid(pid), command
