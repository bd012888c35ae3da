import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fitting.costs.architecture import Architecture
from fitting.errors import InputError
from trainer.config import OptimizerSpec
from trainer.data.tokenize import Bytes
from trainer.export import export
from trainer.hf_tokenizer import write_tokenizer
from trainer.models.lm import build
from trainer.multiple_choice import _metrics, evaluate_tasks, main

ROOT = Path(__file__).parents[2]
needs_extra = pytest.mark.skipif(
    find_spec("lm_eval") is None, reason="extra: pip install 'isoflop[eval]'"
)
TASK = """
task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{test: {questions}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{label}}}}"
target_delimiter: ""
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
"""


@pytest.fixture
def model(tmp_path):
    arch = Architecture(n_layer=2, d_model=32, n_head=2, vocab_size=256, context=64, mlp="swiglu")
    model = build(arch, OptimizerSpec(lr=0.01), seed=0)
    export(model, tmp_path / "model")
    write_tokenizer(Bytes(), tmp_path / "model", context=64)
    return model


@torch.no_grad()
def _likeliest(model, question, choices):
    def log_p(choice):
        ids = torch.tensor([list((question + choice).encode())])
        log_p_TV = model(ids[:, :-1])[0].log_softmax(-1)
        log_p_T = log_p_TV.gather(-1, ids[0, 1:, None])[:, 0]
        return log_p_T[len(question) - 1 :].sum().item()

    return int(np.argmax([log_p(c) for c in choices]))


@needs_extra
@pytest.mark.slow
def test_lm_eval_answers_as_the_model_does(tmp_path, model):
    rng = np.random.default_rng(0)
    rows = []
    for a in range(20):
        choices = [f" {a + b}" for b in rng.permutation(9)[:4]]
        rows.append({"question": f"{a} + 1 =", "choices": choices, "label": a % 4})
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "q.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tasks / "sums.yaml").write_text(TASK.format(questions=tasks / "q.jsonl"))
    command = [sys.executable, "-W", "ignore", "-m", "trainer.multiple_choice",
               tmp_path / "model", "--tasks", "sums", "--task-dir", tasks]  # fmt: skip
    env = {
        **os.environ,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)["sums"]
    right = [_likeliest(model, r["question"], r["choices"]) == r["label"] for r in rows]
    assert found["acc"] == pytest.approx(np.mean(right))
    assert found["acc_stderr"] == pytest.approx(np.std(right, ddof=1) / 20**0.5, rel=1e-6)
    assert found["n"] == 20


@needs_extra
def test_an_unknown_task_is_refused(tmp_path, model):
    with pytest.raises(InputError, match=r"lm-eval knows; got \['sumz'\] \(list them"):
        evaluate_tasks(tmp_path / "model", ["sumz"])


def test_without_the_extra_the_remedy_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("trainer.multiple_choice.find_spec", lambda _name: None)
    assert main([str(tmp_path), "--tasks", "piqa"]) == 2
    assert "not installed (pip install 'isoflop[eval]')" in capsys.readouterr().err


def test_questions_out_of_reach_are_a_sentence(tmp_path, model, monkeypatch):
    def simple_evaluate(**_how):
        raise ConnectionError("Couldn't reach 'baber/piqa'")

    manager = SimpleNamespace(all_tasks=["piqa"])
    tasks = SimpleNamespace(TaskManager=lambda **_how: manager)
    monkeypatch.setitem(sys.modules, "lm_eval", SimpleNamespace(simple_evaluate=simple_evaluate))
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", tasks)
    monkeypatch.setattr("trainer.multiple_choice.find_spec", lambda name: name)
    message = (
        r"tasks piqa could not be read: Couldn't reach 'baber/piqa' \(published tasks download"
    )
    with pytest.raises(InputError, match=message):
        evaluate_tasks(tmp_path / "model", ["piqa"])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "folder must be an exported checkpoint; .* has no config.json .make one with"),
        ({"n_shots": -1}, "shots must be at least 0; got -1"),
        ({"limit": 0}, "limit must be at least 1; got 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path, model, monkeypatch, how, message):
    monkeypatch.setattr("trainer.multiple_choice.find_spec", lambda name: name)
    with pytest.raises(InputError, match=message):
        evaluate_tasks(tmp_path / "model" if how else tmp_path, ["piqa"], **how)


def test_metrics_lose_the_filter_and_what_is_no_number():
    raw = {"alias": "x", "acc,none": 0.25, "acc_stderr,none": "N/A", "ppl,none": float("nan")}
    assert _metrics(raw, {"original": 9, "effective": 4}) == {"acc": 0.25, "n": 4}
