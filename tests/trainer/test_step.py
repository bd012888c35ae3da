"""A recorded step is the step: the wiring is tested with a record that plays itself eagerly, and on
a GPU with a true graph."""

import pytest
import torch

from fitting.errors import InputError
from trainer import step as module
from trainer.data.corpus import Corpus
from trainer.execution import Execution, with_graph
from trainer.job import run_job
from trainer.session import open_session
from trainer.train import Measured, Stepped, train

CPU = Execution(device="cpu", precision="fp32", compiled=False)
RECORDED = Execution(device="cpu", precision="fp32", compiled=False, graph=True)
CALM = {"lr": 1e-3}  # so that a rate rounded to float32 is not magnified


@pytest.fixture
def played(monkeypatch):
    """What replays do on a GPU: the same work on the same addresses; how often it ran."""
    runs = []

    def warm_up(work):
        for _ in range(module.WARM_UP):
            work()

    def record(work):
        return lambda: runs.append(1) or work()

    monkeypatch.setattr(module, "_warm_up", warm_up)
    monkeypatch.setattr(module, "_record", record)
    return runs


def events_of(spec, corpus_dir, execution):
    corpus = Corpus(corpus_dir, spec.data, context=spec.model.context)
    return list(train(open_session(spec, corpus, execution)))


@pytest.mark.parametrize("changes", [{}, {"family": "gpt2", "mlp": "gelu"}])
def test_a_recorded_run_is_the_run_branches_included(make_spec, corpus_dir, played, changes):
    spec = make_spec(model=changes, optimizer=CALM)
    plain, recorded = (events_of(spec, corpus_dir, e) for e in (CPU, RECORDED))
    losses = [[e.loss.item() for e in run if isinstance(e, Stepped)] for run in (plain, recorded)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    assert len(played) == len(losses[0])
    points = [
        [e.evaluation.loss for e in run if isinstance(e, Measured)] for run in (plain, recorded)
    ]
    assert points[1] == pytest.approx(points[0], abs=1e-5)


def test_warming_up_leaves_no_trace(make_spec, corpus_dir, played):
    spec = make_spec()
    corpus = Corpus(corpus_dir, spec.data, context=spec.model.context)
    session = open_session(spec, corpus, RECORDED)
    before = {n: t.clone() for n, t in session.live().items()}
    module.step_of(session)
    for name, t in session.live().items():
        torch.testing.assert_close(t, before[name], rtol=0, atol=0, equal_nan=True)


def test_what_a_step_returns_outlives_the_next(make_spec, corpus_dir, played):
    spec = make_spec()
    session = open_session(spec, None, RECORDED)
    step = module.step_of(session)
    windows = torch.arange(4 * 17).view(4, 17) % 256
    first, second = step(windows), step(windows)
    assert first[0] > second[0]


def test_a_graph_where_there_can_be_none_is_refused_before_anything_is_written(
    make_spec, corpus_dir, tmp_path
):
    with pytest.raises(InputError) as refused:
        run_job(tmp_path / "out", make_spec(), corpus_dir, graph=True)
    assert str(refused.value) == (
        "graph needs one process on a CUDA device and a family of ('transformer', 'gpt2'); got 1 "
        "on 'cpu' and 'transformer' (leave it out)"
    )
    assert refused.value.field == "graph"
    assert not (tmp_path / "out").exists()
    on_gpu = Execution(device="cuda", precision="bf16", compiled=True)
    assert with_graph(make_spec(), on_gpu, wanted=True).graph
    assert not with_graph(make_spec(), on_gpu, wanted=False).graph
    # A run that was recorded goes on without where there can be no record.
    was, here = Execution(device="cuda", precision="bf16", compiled=True, graph=True), RECORDED
    assert with_graph(make_spec(), was, wanted=False).graph
    assert not with_graph(make_spec(), here, wanted=False).graph
    assert not with_graph(make_spec(), was, wanted=False, n_processes=2).graph
    moe = make_spec(model={"family": "moe", "n_expert": 3, "top_k": 2})
    with pytest.raises(InputError, match="got 1 on 'cuda' and 'moe'"):
        with_graph(moe, on_gpu, wanted=True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_true_graph_gives_the_losses_of_plain_steps(make_spec, corpus_dir, tmp_path):
    spec = make_spec(optimizer=CALM)
    plain, graph = (
        run_job(tmp_path / str(wanted), spec, corpus_dir, compile="never", graph=wanted)
        for wanted in (False, True)
    )
    assert graph.graph
    losses = [[m["loss"] for m in r.measurements] for r in (plain, graph)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
