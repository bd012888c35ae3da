"""How much a text resembles good ones: logistic regression over hashed words and word pairs.

As fastText's classifier that GPT-3, LLaMA and FineWeb-Edu filter with, but with one exact answer:
the loss is strictly convex, so neither a seed nor the order of the texts decides.

Symbols: x (K,) features of a text, |x| = 1, and a constant 1 for the offset; y 1 good, 0 crawl;
w (K + 1,) weights. Loss = mean over good of -ln p / 2 + mean over crawl of -ln(1 - p) / 2
+ L2/2 |w|², p = sigmoid(w·x).
"""

import hashlib
import itertools
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

N_BUCKETS = 1 << 18
N_WORDS = 1000  # the head of a text is enough, and bounds the time for one
L2 = 1e-3  # weights stay small where a word is rare
N_STEPS = 1000  # an upper limit; some 200 reach TOLERANCE
TOLERANCE = 1e-7  # of the gradient
CURVATURE = 0.25 * 2 + L2  # of the loss, at most: p(1 - p) <= 1/4, |x|² + 1 = 2

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_WORD = re.compile(r"\w+")


def features(text: str) -> Ints:
    """Buckets of the words and word pairs that occur, sorted, each once."""
    words = _WORD.findall(text.lower())[:N_WORDS]
    pairs = (f"{a} {b}" for a, b in itertools.pairwise(words))
    found = {zlib.crc32(g.encode()) % N_BUCKETS for g in (*words, *pairs)}
    return np.array(sorted(found), dtype=np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class Classifier:
    w: Array  # (N_BUCKETS,)
    offset: float

    def score(self, text: str) -> float:
        """Probability, in (0, 1), that the text is of the good ones, had there been half of each."""
        x = features(text)
        z = self.offset + (self.w[x].sum() / math.sqrt(len(x)) if len(x) else 0.0)
        return float(_sigmoid(np.array(z)))


def train(good: Sequence[str], crawl: Sequence[str]) -> Classifier:
    """The weights of least loss, by Nesterov's gradient steps from 0.

    Args:
        good, crawl: at least one text each; their numbers need not be alike.

    Raises:
        ValueError: one of them is empty.
    """
    if not good or not crawl:
        raise ValueError("train needs good texts and texts of the crawl; one of them is empty")
    rows = [features(t) for t in (*good, *crawl)]
    y = np.array([1.0] * len(good) + [0.0] * len(crawl))
    weight = np.where(y == 1, 0.5 / len(good), 0.5 / len(crawl))
    used, columns = np.unique(np.concatenate(rows), return_inverse=True)
    w = _minimize(rows, columns, len(used), y, weight)
    all_w = np.zeros(N_BUCKETS)
    all_w[used] = w[:-1]
    return Classifier(all_w, float(w[-1]))


def _minimize(rows: Sequence[Ints], columns: Ints, n_used: int, y: Array, weight: Array) -> Array:
    """Nesterov's method for a loss with curvature in [L2, CURVATURE]; linear convergence.

    Nesterov, Introductory Lectures on Convex Optimization (2004), scheme 2.2.9.
    """
    n_B = np.array([len(r) for r in rows])
    doc = np.repeat(np.arange(len(rows)), n_B)
    value = 1 / np.sqrt(n_B[doc])
    ratio = math.sqrt(L2 / CURVATURE)
    momentum = (1 - ratio) / (1 + ratio)
    w = last = np.zeros(n_used + 1)
    for _ in range(N_STEPS):
        v = w + momentum * (w - last)
        z = np.bincount(doc, v[columns] * value, len(rows)) + v[-1]
        error = weight * (_sigmoid(z) - y)
        gradient = L2 * v
        gradient[:-1] += np.bincount(columns, value * error[doc], n_used)
        gradient[-1] += error.sum()
        last, w = w, v - gradient / CURVATURE
        if np.abs(gradient).max() < TOLERANCE:
            break
    return w


def _sigmoid(z: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(z / 2)))


@dataclass(frozen=True, eq=False, slots=True)
class Judges:
    """Two classifiers, each for the half of the crawl that it has not seen.

    A text that a classifier was shown as "crawl" would score too low with it.
    """

    halves: tuple[Classifier, Classifier]

    def score(self, name: str, text: str) -> float:
        return self.halves[half(name)].score(text)


def rank(name: str) -> bytes:
    """A fixed pseudo-random order of documents."""
    return hashlib.sha256(name.encode()).digest()


def half(name: str) -> int:
    return rank(name)[-1] & 1


def threshold(scores: Sequence[float], share: float) -> float:
    """The score of the last of the top `share`, rounded up to whole documents; ties stay in.

    A plain cut: GPT-3 let some low scores through by a Pareto draw, which needs a seed.
    """
    keep = max(1, math.ceil(share * len(scores) - 1e-9))
    return sorted(scores, reverse=True)[keep - 1]
