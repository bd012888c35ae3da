import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainer.config import DataSpec
from trainer.data.corpus import Corpus
from trainer.data.manifest import Manifest
from trainer.data.prepare import prepare
from trainer.evaluate import Evaluation, evaluate, evaluate_domains, main
from trainer.execution import Execution
from trainer.job import run_job
from trainer.models.lm import build

HERE = Execution(device="cpu", precision="fp32", compiled=False)


@pytest.fixture(scope="module")
def corpus(corpus_dir):
    data = DataSpec(fingerprint=Manifest.load(corpus_dir).fingerprint)
    return Corpus(corpus_dir, data, context=16)


@pytest.fixture
def model(make_spec):
    spec = make_spec()
    return build(spec.model, spec.optimizer, seed=0)


def test_a_model_that_knows_nothing_needs_eight_bits_a_byte(model, corpus):
    with torch.no_grad():
        model.head.weight.zero_()
    found = evaluate_domains(model, corpus, HERE, n_tokens=800)
    assert set(found) == {"all", "docs", "python"}
    for domain, e in found.items():
        assert e.loss == pytest.approx(math.log(256), rel=1e-6)
        assert e.loss_se == pytest.approx(0, abs=1e-6)
        assert e.to_dict()["perplexity"] == pytest.approx(256, rel=1e-5)
        # the end of a document is a token of 8 bits too, but no byte
        per_token = corpus.manifest.bytes_per_token("val", None if domain == "all" else domain)
        assert e.bits_per_byte == pytest.approx(8 / per_token, rel=1e-3)


def test_the_whole_is_its_windows_mean_and_each_domain_its_own(model, corpus):
    found = evaluate_domains(model, corpus, HERE, n_tokens=800)
    whole = found.pop("all")
    assert whole == evaluate(model, corpus, HERE, n_tokens=800)
    assert {d: e.loss for d, e in found.items()} == whole.by_domain
    n = sum(e.n_tokens for e in found.values())
    assert n == whole.n_tokens
    mean = sum(e.loss * e.n_tokens for e in found.values()) / n
    assert whole.loss == pytest.approx(mean, rel=1e-12)


def test_the_standard_error_is_of_the_mean_over_windows(model, corpus):
    losses = torch.cat([
        model.window_losses(torch.from_numpy(w)).detach() for _, w in corpus.held_out(800)
    ]).double()  # fmt: skip
    e = evaluate(model, corpus, HERE, n_tokens=800)
    assert e.loss_se == pytest.approx(losses.std().item() / len(losses) ** 0.5, rel=1e-6)


@given(loss=st.floats(0, 500))
def test_perplexity_is_the_loss_again(loss):
    e = Evaluation(loss=loss, loss_se=0.0, bits_per_byte=1.0, by_domain={}, n_tokens=1)
    assert math.log(e.to_dict()["perplexity"]) == pytest.approx(loss, rel=1e-12, abs=1e-12)


def test_the_command_repeats_a_runs_measurement(tmp_path, make_spec, corpus_dir, capsys):
    result = run_job(tmp_path, make_spec(), corpus_dir)
    args = [str(tmp_path), "--data", str(corpus_dir)]
    assert main(args) == 0
    found = json.loads(capsys.readouterr().out)
    last = result.measurements[-1]
    assert {k: found["all"][k] for k in ("loss", "loss_se", "bits_per_byte")} == {
        k: last[k] for k in ("loss", "loss_se", "bits_per_byte")
    }
    assert {d: found[d]["loss"] for d in ("docs", "python")} == last["loss_by_domain"]
    assert main([*args, "--tokens", "8000"]) == 0
    more = json.loads(capsys.readouterr().out)["all"]
    assert more["n_tokens"] == pytest.approx(8000, rel=0.01)
    assert main([*args, "--tokens", "15"]) == 2
    assert "tokens must be at least the context, 16; got 15" in capsys.readouterr().err


def test_another_corpus_needs_the_same_tokenizer(tmp_path, make_spec, corpus_dir, capsys):
    run_job(tmp_path / "run", make_spec(), corpus_dir)
    texts = [corpus_dir.parent / "texts.jsonl"]
    prepare(tmp_path / "other", texts, val_share=0.3)
    assert main([str(tmp_path / "run"), "--data", str(tmp_path / "other")]) == 0
    assert json.loads(capsys.readouterr().out)["all"]["n_tokens"] == 256
    prepare(tmp_path / "bpe", texts, tokenizer="bpe", vocab_size=300, val_share=0.2)
    assert main([str(tmp_path / "run"), "--data", str(tmp_path / "bpe")]) == 2
    assert "data must have the tokenizer of" in capsys.readouterr().err


def test_a_run_in_bf16_is_measured_in_bf16_again(tmp_path, make_spec, corpus_dir, capsys):
    result = run_job(tmp_path, make_spec(precision="bf16"), corpus_dir, compile="never")
    assert main([str(tmp_path), "--data", str(corpus_dir)]) == 0
    assert json.loads(capsys.readouterr().out)["all"]["loss"] == result.measurements[-1]["loss"]


def test_a_corpus_without_a_window_to_measure_on_is_refused(
    tmp_path, make_spec, corpus_dir, capsys
):
    run_job(tmp_path / "run", make_spec(), corpus_dir)
    rows = [json.dumps({"text": f"word {i}"}) for i in range(9)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    held_out = prepare(tmp_path / "short", [tmp_path / "a.jsonl"], val_share=0.2).n_tokens("val")
    assert 0 < held_out <= 16
    assert main([str(tmp_path / "run"), "--data", str(tmp_path / "short")]) == 2
    said = f"data must hold out more tokens than the model's context, 16, in one piece; {tmp_path}"
    assert said in capsys.readouterr().err


@pytest.fixture
def little(corpus_dir, tmp_path):
    """A mixture of nine tenths of a domain with a few held-out windows."""
    texts = corpus_dir.parent.joinpath("texts.jsonl").read_text().splitlines()
    rows = [row for row in texts if json.loads(row)["domain"] == "python"]
    rows += [json.dumps({"text": f"number {i} " * 9, "domain": "docs"}) for i in range(60)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    manifest = prepare(tmp_path / "corpus", [tmp_path / "a.jsonl"], val_share=0.2)
    data = DataSpec(fingerprint=manifest.fingerprint, mixture=(("docs", 0.9), ("python", 0.1)))
    return Corpus(tmp_path / "corpus", data, context=16)


def test_the_loss_follows_the_mixture_where_a_domains_text_is_short(model, little):
    n_tokens = 16 * 2000
    whole = evaluate_domains(model, little, HERE, n_tokens=n_tokens)
    all_, docs, python = (whole[d] for d in ("all", "docs", "python"))
    assert docs.n_tokens < 0.9 * n_tokens
    assert python.n_tokens == 0.1 * n_tokens
    assert all_.loss == pytest.approx(0.9 * docs.loss + 0.1 * python.loss, rel=1e-12)
    se = math.hypot(0.9 * docs.loss_se, 0.1 * python.loss_se)
    assert all_.loss_se == pytest.approx(se, rel=1e-12)
    n_bytes = sum(
        w * little.manifest.bytes_per_token("val", d) for d, w in (("docs", 0.9), ("python", 0.1))
    )
    assert all_.bits_per_byte == pytest.approx(all_.loss / math.log(2) / n_bytes, rel=1e-12)
    enough = evaluate(model, little, HERE, n_tokens=16 * 20)
    parts = [0.9 * enough.by_domain["docs"], 0.1 * enough.by_domain["python"]]
    assert enough.loss == pytest.approx(sum(parts), rel=1e-6)
