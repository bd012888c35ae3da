"""Starts `isoflop up` as its own process and waits until it answers.

A service that a killed demo left behind on the same home is taken over instead of started again.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from fitting.errors import InputError
from store.settings import load_settings
from sweeper.client import Client
from sweeper.supervisor import down

START_S = 90.0
STOP_S = 40.0


@contextmanager
def running(home: Path) -> Iterator[Client]:
    """A client of a service on `home`; the service is stopped in order when the block ends."""
    left_behind = (home / "service.json").is_file() and _answers(home)
    process = None if left_behind else _start(home)
    try:
        with Client(home=home) as client:
            yield client
    finally:
        if process is None:
            down(load_settings(home), wait_s=STOP_S)
        else:
            _stop(process)


def _start(home: Path) -> subprocess.Popen[bytes]:
    log = home / "service.log"
    (home / "service.json").unlink(missing_ok=True)  # a stale one would name a dead port
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "sweeper.cli", "up", "--home", str(home), "--port", "0"],
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours to handle: the service is drained, not cut
            env={**os.environ, "ISOFLOP_HOME": str(home)},
        )
    try:
        _wait(process, home, log)
    except BaseException:
        _stop(process)
        raise
    return process


def _wait(process: subprocess.Popen[bytes], home: Path, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise InputError(f"the service stopped with {process.returncode}; see {log}")
        if (home / "service.json").is_file() and _answers(home):
            return
        time.sleep(0.2)
    raise InputError(f"the service did not answer within {START_S:.0f} s; see {log}")


def _answers(home: Path) -> bool:
    with Client(home=home) as client:
        try:
            client.ready()
        except httpx2.TransportError:
            return False
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
