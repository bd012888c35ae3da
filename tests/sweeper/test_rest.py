"""What the executor on Ray does between two looks and with idle workers; no cluster is needed."""

import time

import pytest

from sweeper import ray_actors
from sweeper.executor import Need, Ticket
from sweeper.ray_actors import Member, RayExecutor


def executor(*refs):
    pool = {f"w{i}": Member(handle=None, need=Need(), ref=ref) for i, ref in enumerate(refs)}
    return RayExecutor(
        n_cpus=2, n_gpus=0, largest=Need(n_cpus=2), head_lives=lambda: True, pool=pool
    )


def test_a_run_that_ends_ends_the_rest(monkeypatch):
    asked = []
    monkeypatch.setattr(ray_actors.ray, "wait", lambda refs, timeout: asked.append((refs, timeout)))
    started = time.monotonic()
    executor("call", None).rest(60.0)
    assert asked == [(["call"], 60.0 - ray_actors.REST_S)]
    assert time.monotonic() - started < 30


def test_with_nothing_under_way_it_rests_as_long_as_it_was_told(monkeypatch):
    naps = []
    monkeypatch.setattr(ray_actors.time, "sleep", naps.append)
    executor(None).rest(0.2)
    assert sum(naps) == 0.2


@pytest.mark.parametrize(("jobs", "killed"), [((), True), (("run-2-a1",), False)])
def test_to_kill_what_is_over_ends_an_idle_worker_and_spares_one_at_work(
    monkeypatch, tmp_path, jobs, killed
):
    """An idle one is warm with the code it has imported: if that was stale, it would be again."""
    ended = []
    monkeypatch.setattr(ray_actors.ray, "kill", ended.append)
    pool = executor(None)
    pool.pool["w0"].handle, pool.pool["w0"].jobs = "handle", jobs
    assert pool.kill(Ticket(name="run-1-a1", worker="w0", folder=tmp_path))
    assert ended == (["handle"] if killed else [])
