import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.config import DataSpec
from trainer.data.corpus import CHUNK, Corpus, _shuffled
from trainer.data.mixture import BLOCK, Mixture
from trainer.data.permute import key_of, permute


@given(n=st.integers(1, 3000), key=st.integers(0, 2**40))
def test_permute_is_a_permutation(n, key):
    assert sorted(permute(np.arange(n), n, key).tolist()) == list(range(n))


@given(n=st.integers(2, 2**40), key=st.integers(0, 2**40), data=st.data())
def test_an_element_does_not_depend_on_those_asked_with_it(n, key, data):
    index = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=5))
    together = permute(index, n, key)
    assert together.tolist() == [int(permute(i, n, key)[0]) for i in index]


def test_permute_refuses_an_index_outside():
    with pytest.raises(ValueError, match=r"index must lie in \[0, 10\); got 10"):
        permute([3, 10], 10, 0)


@given(st.integers(1, 3 * CHUNK), st.integers(0, 9), st.lists(st.integers(0, 10**5), min_size=1))
def test_windows_of_an_epoch_are_its_permutation_however_they_are_chunked(n, seed, samples):
    sample = np.array(samples, dtype=np.int64)
    one_by_one = [int(permute(s % n, n, key_of("epoch", seed, s // n, ""))[0]) for s in samples]
    assert _shuffled(sample, n, seed).tolist() == one_by_one


def test_every_seed_epoch_and_domain_has_an_order_of_its_own():
    n = 1000
    cases = [(seed, e, d) for seed in (0, 1, 2**20, 2**44) for e in (0, 1) for d in ("", "a", "b")]
    orders = {tuple(_shuffled(np.arange(n) + e * n, n, seed, d).tolist()) for seed, e, d in cases}
    assert len(orders) == len(cases)


def test_every_seed_and_block_is_dealt_in_an_order_of_its_own():
    mixture = Mixture.of({"a": 0.5, "b": 0.5})
    dealt = [mixture.deal(np.arange(40 * BLOCK), seed)[0].reshape(40, -1) for seed in (0, 1)]
    assert len({row.tobytes() for row in np.concatenate(dealt)}) == 80


def test_the_order_of_the_data_is_what_it_was():
    """It may change only together with `FORMAT` of trainer/checkpoint.py: a run would go on in
    another order."""
    assert _shuffled(np.arange(5), 1000, 3, "docs").tolist() == [1, 332, 911, 918, 871]
    assert Mixture.of({"a": 0.5, "b": 0.5}).deal(np.arange(8), 3)[0].tolist() == [
        0,
        1,
        0,
        0,
        0,
        1,
        0,
        0,
    ]


def test_permutations_of_different_keys_look_unrelated():
    a, b = (permute(np.arange(1000), 1000, key).astype(int) for key in (1, 2))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.1
    assert abs(np.corrcoef(a, np.arange(1000))[0, 1]) < 0.1


@given(st.lists(st.floats(0.05, 1.0), min_size=1, max_size=5), st.integers(0, 2**30))
def test_a_block_deals_each_domain_its_weight_and_repeats_nothing(weights, key):
    mixture = Mixture.of({f"d{i}": w for i, w in enumerate(weights)})
    domain, rank = mixture.deal(np.arange(3 * BLOCK), key)
    for i, w in enumerate(weights):
        assert abs((domain == i).mean() - w / sum(weights)) < 1 / BLOCK
        assert sorted(rank[domain == i].tolist()) == list(range((domain == i).sum()))


def test_a_weight_below_a_block_is_refused():
    with pytest.raises(ValueError, match=r"at least 1/1024 of the whole; \['b'\] are below"):
        Mixture.of({"a": 1.0, "b": 1e-4})


@pytest.fixture
def corpus(corpus_dir, manifest):
    return Corpus(corpus_dir, DataSpec(fingerprint=manifest.fingerprint), context=16)


def test_a_batch_depends_on_seed_and_step_only(corpus):
    first = corpus.batch(7, 4, seed=1)
    corpus.batch(3, 4, seed=1)
    np.testing.assert_array_equal(first, corpus.batch(7, 4, seed=1))
    assert (first != corpus.batch(7, 4, seed=2)).any()
    assert (first != corpus.batch(8, 4, seed=1)).any()


def test_samples_do_not_depend_on_how_they_are_grouped_into_batches(corpus):
    one = corpus.batch(0, 8, seed=5)
    np.testing.assert_array_equal(one[4:], corpus.batch(1, 4, seed=5))


def test_an_epoch_shows_every_window_once(corpus):
    n = corpus.n_windows
    rows = {row.tobytes() for row in corpus.batch(0, n, seed=0)}
    whole = {row.tobytes() for row in corpus.batch(1, n, seed=0)}
    assert rows == whole  # the second epoch has the same windows in another order
    assert (corpus.batch(0, n, seed=0) != corpus.batch(1, n, seed=0)).any()


def test_targets_are_the_next_tokens_of_the_shard(corpus):
    tokens = corpus.train[next(iter(corpus.train))]
    a, b = tokens.take(np.array([0, 1]))
    assert a[-1] == b[0]
    np.testing.assert_array_equal(a, tokens.maps[0][:17])


def test_a_mixture_takes_its_share_of_each_domain(corpus_dir, manifest):
    mixture = (("python", 1.0), ("docs", 3.0))
    data = DataSpec(fingerprint=manifest.fingerprint, mixture=mixture)
    corpus = Corpus(corpus_dir, data, context=64)  # so long that both domains hardly share one
    docs = {
        row.tobytes()
        for row in corpus.train["docs"].take(np.arange(corpus.train["docs"].n_windows))
    }
    batch = corpus.batch(0, BLOCK, seed=0)
    share = np.mean([row.tobytes() in docs for row in batch])
    assert share == pytest.approx(0.75, abs=0.01)


def test_unique_tokens_stop_at_the_corpus(corpus):
    n = corpus.n_windows * 16
    assert corpus.n_unique(64) == 64
    assert corpus.n_unique(10 * n) == n


def test_held_out_windows_are_fixed_and_in_proportion(corpus):
    first, second = (dict(corpus.held_out(2048)) for _ in range(2))
    for domain, windows in first.items():
        np.testing.assert_array_equal(windows, second[domain])
    assert sum(map(len, first.values())) == pytest.approx(2048 / 16, abs=2)


def test_the_end_phase_has_its_own_mixture_and_repeats_nothing(corpus_dir, manifest):
    data = DataSpec(
        fingerprint=manifest.fingerprint,
        mixture=(("python", 3.0), ("docs", 1.0)),
        cooldown_mixture=(("docs", 1.0),),
    )
    corpus = Corpus(corpus_dir, data, context=16)
    trunk = corpus.batch(0, BLOCK, seed=0)
    branch = corpus.batch(1, BLOCK, seed=0, cooling_from=1)
    all_docs = corpus.train["docs"]
    docs = {row.tobytes() for row in all_docs.take(np.arange(all_docs.n_windows))}
    assert all(row.tobytes() in docs for row in branch)
    # Distinct windows may hold the same text, so a few rows may coincide.
    assert len({r.tobytes() for r in branch} & {r.tobytes() for r in trunk}) < 0.05 * BLOCK
    n = BLOCK * 16
    assert corpus.n_unique(2 * n, n) == 2 * n
