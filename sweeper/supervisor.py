"""`isoflop up`: API and dispatcher of one machine, restarted when they die, stopped in order.

The web process listens on a socket that the supervisor holds, so a restart loses no port and
connections made meanwhile wait instead of failing.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import structlog

from fitting.errors import InputError
from store.engine import make_engine
from store.migrate import upgrade
from store.settings import Settings
from sweeper import files, ray_head
from sweeper.orphan import VARIABLE

log = structlog.get_logger("up")
BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_S = 30.0  # after running this long a process has no history of falling
STOP_S = 12.0
EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  # addresses to listen on, not to be reached by


@dataclass(kw_only=True, slots=True)
class Child:
    """A process that is to be there."""

    name: str
    command: Sequence[str]
    pass_fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    n_falls: int = 0
    due_at: float = 0.0

    def keep_alive(self) -> bool:
        """Start it if it is not there and its time has come; True if it was started."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is None:
            return False
        if self.process is not None:
            self._fell(now)
        if now < self.due_at:
            return False
        self.process = subprocess.Popen(
            self.command,
            pass_fds=self.pass_fds,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops them in order
            env={**os.environ, VARIABLE: str(os.getpid())},
        )
        self.started_at = now
        return True

    def _fell(self, now: float) -> None:
        code = self.process.returncode if self.process else None
        self.n_falls = 1 if now - self.started_at > STEADY_S else self.n_falls + 1
        self.due_at = now + BACKOFF_S[min(self.n_falls, len(BACKOFF_S)) - 1]
        self.process = None
        log.warning("a process died; it is started again", process=self.name, returncode=code)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL; nothing else of the machine is touched."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True, kw_only=True, slots=True)
class Up:
    """What to bring up."""

    host: str = "127.0.0.1"
    port: int = 8000  # 0: a free one
    executor: str = "ray"
    n_cpus: int | None = None
    work_options: Sequence[str] = field(default=())


def up(settings: Settings, how: Up) -> None:
    """Bring the service up and keep it up until SIGINT or SIGTERM.

    Raises:
        InputError: the port is taken, or a service of this home runs already.
    """
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    folder = settings.home / "up"
    folder.mkdir(parents=True, exist_ok=True)
    with files.holding_lock(folder, wait_s=1.0) as alone:
        if alone is None:
            raise InputError(
                f"a service of {settings.home} is up already (see {settings.service_file}); stop "
                "it with `isoflop down`, or choose another home",
                field="home",
            )
        os.environ["ISOFLOP_HOME"] = str(settings.home)
        upgrade(make_engine(settings.url))
        with listening(how.host, how.port) as listener:
            _supervise(settings, how, listener, told)


def _supervise(settings: Settings, how: Up, listener: socket.socket, told: threading.Event) -> None:
    children = _children(how, listener)
    url = f"http://{_reached_as(how.host)}:{listener.getsockname()[1]}"
    log.info("up", url=url, home=str(settings.home))
    try:
        while not told.is_set():
            started = [child.name for child in children if child.keep_alive()]
            if started:
                _write_service_file(settings, url, children)
            told.wait(0.3)
    finally:
        for child in reversed(children):  # the dispatcher first: it has most to tell
            child.stop()
        if how.executor == "ray":
            ray_head.stop_head(settings.home)
        settings.service_file.unlink(missing_ok=True)
        log.info("down")


def _reached_as(host: str) -> str:
    """Of this machine's commands. One listens on 0.0.0.0; the guard serves no host of that name."""
    return "127.0.0.1" if host in EVERYWHERE else host


def _children(how: Up, listener: socket.socket) -> list[Child]:
    program = [sys.executable, "-m", "sweeper.cli"]
    fd = listener.fileno()
    work = [*program, "work", "--drain", "--executor", how.executor, *how.work_options]
    if how.n_cpus is not None:
        work += ["--cpus", str(how.n_cpus)]
    return [
        Child(
            name="api",
            command=[*program, "serve", "--fd", str(fd), "--host", how.host],
            pass_fds=(fd,),
        ),
        Child(name="dispatcher", command=work),
    ]


def _write_service_file(settings: Settings, url: str, children: Sequence[Child]) -> None:
    pids = {child.name: child.process.pid for child in children if child.process}
    files.write_json(
        settings.service_file, {"url": url, "pid": os.getpid(), "pids": {**pids, "up": os.getpid()}}
    )


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Raises InputError: the port is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(512)
        except OSError as e:
            raise InputError(
                f"cannot listen on {host}:{port}: {e.strerror}; give another --port, or --port 0 "
                "for any free one",
                field="port",
            ) from e
        yield listener


def down(settings: Settings, *, wait_s: float = 30.0) -> bool:
    """Ask the service of this home to stop; True once it has, False if none was up."""
    known = files.read_json(settings.service_file) or {}
    holder = files.lock_holder(settings.home / "up")
    if not holder or holder != known.get("pid"):
        ray_head.stop_head(settings.home)  # what a killed service may have left
        return False
    os.kill(holder, signal.SIGTERM)
    until = time.monotonic() + wait_s
    while files.lock_holder(settings.home / "up") is not None:
        if time.monotonic() > until:
            raise InputError(f"the service (process {holder}) did not stop within {wait_s:.0f} s")
        time.sleep(0.1)
    return True
