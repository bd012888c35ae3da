"""Skipped steps, divergence and lack of memory are results with a reason, not errors."""

import itertools
import json
import math

import pytest

from trainer.evaluate import Evaluation
from trainer.job import run_job
from trainer.result import MEASUREMENTS, PROGRESS, Journal, Result, read_lines
from trainer.session import open_session


@pytest.fixture
def not_finite(monkeypatch):
    """The loss and its gradients are not numbers at these calls."""

    def spoil(*calls):
        n = itertools.count(1)

        def spoiled(*args):
            session = open_session(*args)
            losses = session.losses
            session.losses = lambda x: tuple(
                loss * math.nan if i in calls else loss for i in [next(n)] for loss in losses(x)
            )
            return session

        monkeypatch.setattr("trainer.attempt.open_session", spoiled)

    return spoil


@pytest.mark.parametrize("call", [1, 5, 18])
def test_a_step_that_is_not_finite_is_skipped_and_counted(
    tmp_path, make_spec, corpus_dir, not_finite, call
):
    """On the trunk and on a branch alike (steps 17 to 20)."""
    not_finite(call)
    result = run_job(tmp_path, make_spec(), corpus_dir)
    assert (result.status, result.n_skipped) == ("finished", 1)
    assert [p["step"] for p in read_lines(tmp_path)].count(call) == (call > 16)  # the trunk's own


def test_sixteen_of_them_in_a_row_are_divergence(tmp_path, make_spec, corpus_dir, not_finite):
    not_finite(*range(5, 100))
    result = run_job(tmp_path, make_spec(horizons=(64 * 40,)), corpus_dir)
    assert (result.status, result.n_skipped, result.measurements) == ("diverged", 16, ())
    assert result.reason == (
        "loss nan and gradient norm nan at step 20: not finite, 16 steps in a row or more (try a "
        "lower lr or a longer warm-up)"
    )
    assert run_job(tmp_path, make_spec(horizons=(64 * 40,)), corpus_dir) == result


def test_an_evaluation_that_is_not_finite_is_divergence(
    tmp_path, make_spec, corpus_dir, monkeypatch
):
    broken = Evaluation(
        loss=math.inf, loss_se=0.0, bits_per_byte=math.inf, by_domain={}, n_tokens=1
    )
    monkeypatch.setattr("trainer.train.evaluate", lambda *_, **__: broken)
    result = run_job(tmp_path, make_spec(), corpus_dir)
    assert (result.status, result.measurements) == ("diverged", ())
    assert result.reason == "the loss measured at 1280 tokens is not finite"
    assert Result.load(tmp_path) == result


def test_divergence_is_a_result(tmp_path, make_spec, corpus_dir):
    result = run_job(tmp_path, make_spec(optimizer={"lr": 1e30}), corpus_dir)
    assert result.status == "diverged"
    assert "not finite" in result.reason
    json.dumps(result.to_dict(), allow_nan=False)


def test_lack_of_memory_is_a_result(tmp_path, make_spec, corpus_dir, monkeypatch):
    def broken(*_):
        raise MemoryError("no memory for this")

    monkeypatch.setattr("trainer.attempt.open_session", broken)
    result = run_job(tmp_path, make_spec(), corpus_dir)
    assert (result.status, result.measurements) == ("oom", ())
    assert result.reason == (
        "out of memory on cpu: no memory for this (the next attempt recomputes activations, which "
        "takes less)"
    )
    again = run_job(tmp_path, make_spec(), corpus_dir)
    assert (again.status, again.recompute, again.n_parts) == ("oom", True, 1)
    assert again.reason.endswith(
        "(the next attempt takes the batch in more parts, which takes less)"
    )
    last = run_job(tmp_path, make_spec(), corpus_dir)
    assert (last.n_parts, last.can_shrink) == (4, False)  # single windows
    assert last.reason.endswith("(start more processes, or ask for a smaller model)")
    monkeypatch.undo()
    assert run_job(tmp_path, make_spec(), corpus_dir) == last  # nothing would come of a fourth


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ("{}\n{}\n{}\n{", 2),  # written after the checkpoint
        ("{}\n", 1),  # lost with the machine's memory
        ('{}\n{"a', 1),
        (None, 0),
    ],
)
def test_a_journal_is_cut_to_whole_lines_that_the_checkpoint_knows(tmp_path, found, kept):
    if found is not None:
        (tmp_path / PROGRESS).write_text(found)
    journal = Journal(tmp_path, {PROGRESS: 6, MEASUREMENTS: 6})
    assert read_lines(tmp_path) == [{}] * kept
    assert journal.lengths() == {PROGRESS: 3 * kept, MEASUREMENTS: 0}


def test_a_journal_is_on_disk_before_a_checkpoint_tells_its_length(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr("os.fsync", flushed.append)
    journal = Journal(tmp_path, None)
    journal.append(PROGRESS, {})
    assert journal.lengths() == {PROGRESS: 3, MEASUREMENTS: 0}
    assert len(flushed) == 2
