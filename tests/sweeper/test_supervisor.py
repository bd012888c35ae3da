"""`isoflop up` as a person starts it: supervised, killed in parts, stopped in order."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy

from fitting.errors import InputError
from store.settings import Settings
from sweeper import files, supervisor
from sweeper.client import Client
from sweeper.demo.service import running
from sweeper.supervisor import Child, Up, down, listening
from tests.sweeper.test_faults import wait_for
from trainer.data.prepare import prepare


@pytest.fixture
def home(tmp_path):
    """With a space in its path, and a little real text."""
    home = tmp_path / "my home"
    folder = home / "corpora" / "default"
    prepare(folder, [Path(sqlalchemy.__file__).parent], max_bytes=1_000_000)
    return home


def service(home):
    return files.read_json(home / "service.json") or {}


def started(home, *options):
    """`isoflop up` in a process of its own, once it has said where it is."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sweeper.cli", "up", "--port", "0", "--executor", "process",
         "--home", str(home), *options],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"ISOFLOP_DATABASE_URL": ""},
    )  # fmt: skip
    wait_for(lambda: service(home), limit_s=60)
    return process


@pytest.mark.parametrize(
    ("host", "reached"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("box", "box")]
)
def test_the_service_file_names_a_host_that_is_served(tmp_path, monkeypatch, host, reached):
    told = threading.Event()
    monkeypatch.setattr(supervisor, "_children", lambda *_: [])
    written = []
    monkeypatch.setattr(supervisor.log, "info", lambda _, **said: written.append(said))
    told.set()
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        supervisor._supervise(
            Settings(home=tmp_path), Up(host=host, executor="process"), listener, told
        )
    assert written[0]["url"] == f"http://{reached}:{port}"


@pytest.mark.slow
def test_who_listens_on_an_address_is_reached_by_it(home):
    """Another one than localhost, which is served in any case."""
    process = started(home, "--host", "127.0.0.2")
    try:
        url = service(home)["url"]
        assert url.startswith("http://127.0.0.2:")
        with Client(url) as client:
            assert list(client.sweeps()) == []
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.mark.slow
def test_a_demo_takes_over_the_service_that_a_killed_one_left_behind(home):
    process = started(home)
    try:
        with Client(home=home) as client:
            wait_for(lambda: ready(client), limit_s=60)
        before = service(home)
        with running(home) as client:
            assert client.ready()
            assert service(home) == before
        assert process.wait(20) == 0
    finally:
        process.kill()


@pytest.mark.slow
def test_a_service_killed_in_parts_finishes_its_sweep_on_the_same_port(home):
    settings = Settings(home=home)
    process = started(home)
    try:
        first = service(home)
        with Client(first["url"]) as client:
            wait_for(lambda: ready(client), limit_s=60)
            spec = {"name": "a", "sizes": [4e3], "tokens": [2e5], "context": 64, "seeds": [0, 1],
                    "recipe": {"eval_tokens": 4096}}  # fmt: skip
            sweep = client.submit(spec, key="k")
            os.kill(first["pids"]["api"], signal.SIGKILL)
            wait_for(lambda: service(home).get("pids", {}).get("api") != first["pids"]["api"])
            assert client.submit(spec, key="k")["id"] == sweep["id"]
            os.kill(first["pids"]["dispatcher"], signal.SIGKILL)
            wait_for(lambda: client.sweep(sweep["id"])["state"] == "finished", limit_s=120)
            assert service(home)["url"] == first["url"]
            counts = client.sweep(sweep["id"])["progress"]["counts"]
            assert counts["finished"] == 2
        assert down(settings)
        assert process.wait(20) == 0
        assert service(home) == {}
        assert not down(settings)
    finally:
        process.kill()
        process.wait()


def ready(client):
    try:
        return client.ready()["status"] == "ready"
    except Exception:  # noqa: BLE001  not yet
        return False


def test_a_child_that_dies_is_started_again_after_a_pause():
    child = Child(name="a", command=[sys.executable, "-c", "raise SystemExit(3)"])
    assert child.keep_alive()
    child.process.wait()
    assert not child.keep_alive()  # it fell; its time has not come
    assert child.n_falls == 1
    child.due_at = 0.0
    assert child.keep_alive()
    child.stop()


def test_a_port_in_use_is_named_with_the_remedy():
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        said = pytest.raises(InputError, match=f"cannot listen on 127.0.0.1:{port}.*--port 0")
        with said, listening("127.0.0.1", port):
            pass
