import json
import multiprocessing
import os
import signal

from hypothesis import given
from hypothesis import strategies as st

from sweeper import files
from sweeper.files import Tail


def test_a_file_is_whole_or_not_there(tmp_path):
    files.write_json(tmp_path / "a.json", {"x": 1})
    assert files.read_json(tmp_path / "a.json") == {"x": 1}
    (tmp_path / "torn.json").write_text('{"x": ')
    assert files.read_json(tmp_path / "torn.json") is None
    assert files.read_json(tmp_path / "absent.json") is None
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []


@given(chunks=st.lists(st.integers(1, 40), max_size=30))
def test_a_tail_reads_every_line_once_however_they_arrive(tmp_path, chunks):
    path = tmp_path / "t.jsonl"
    path.unlink(missing_ok=True)
    text = "".join(json.dumps({"i": i}) + "\n" for i in range(40)).encode()
    tail, seen, sent = Tail(path=path), [], 0
    for n in [*chunks, len(text)]:
        with path.open("ab") as f:
            f.write(text[sent : sent + n])
        sent += n
        assert tail.lines() == tail.lines()  # until they are taken in
        seen += [line["i"] for line in tail.lines()]
        tail.taken()
    assert seen == list(range(40))


def test_a_tail_skips_what_is_no_line_and_starts_over_when_the_file_shrinks(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"i": 1}\nnonsense\n[2]\n{"i": 3}\n{"i": ')
    tail = Tail(path=path)
    assert [line["i"] for line in tail.lines()] == [1, 3]
    tail.taken()
    path.write_text('{"i": 9}\n')
    assert [line["i"] for line in tail.lines()] == [9]


def _hold(folder, ready):
    with files.holding_lock(folder):
        ready.set()
        signal.pause()


def test_the_kernel_frees_a_lock_when_its_holder_is_killed(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    child = context.Process(target=_hold, args=(tmp_path, ready))
    child.start()
    assert ready.wait(20)
    assert files.lock_holder(tmp_path) == child.pid
    with files.holding_lock(tmp_path, wait_s=0.1) as got:
        assert got is None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert files.lock_holder(tmp_path) is None
    with files.holding_lock(tmp_path, wait_s=0.1) as got:
        assert got is not None
