"""A pseudo-random permutation of 0 … n-1 that needs no memory: any element on its own.

A four-round Feistel network on the next even power of two, walked until it lands inside.
Black and Rogaway 2002, "Ciphers with arbitrary finite domains", sec. 4 (generalised Feistel) and
sec. 3 (cycle walking).
"""

import hashlib

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.uint64]
_MIX = np.uint64(0x9E3779B97F4A7C15)
_ROUNDS = 4


def key_of(*parts: int | str) -> int:
    """A 64-bit key, another one for other parts: arithmetic on a seed and an epoch would collide
    with that of another seed."""
    text = "/".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def permute(index: npt.ArrayLike, n: int, key: int) -> Indices:
    """Where the permutation `key` of n elements sends each index.

    Args:
        index: integers in [0, n), any shape (R,).
        n: number of elements, at least 1.
        key: any integer; another key below 2^64 is another permutation (see `key_of`).
    """
    x: Indices = np.atleast_1d(np.asarray(index, dtype=np.uint64))
    if x.size and int(x.max()) >= n:
        raise ValueError(f"index must lie in [0, {n}); got {int(x.max())}")
    half = max(1, -(-(n - 1).bit_length() // 2))  # bits of a half; domain 4**half >= n
    x = _feistel(x, half, key)
    outside = x >= n
    while outside.any():  # less than 4 walks on average
        x[outside] = _feistel(x[outside], half, key)
        outside = x >= n
    return x


def _feistel(x: Indices, half: int, key: int) -> Indices:
    bits = np.uint64(half)
    mask = np.uint64((1 << half) - 1)
    left, right = x >> bits, x & mask
    for r in range(_ROUNDS):
        left, right = right, left ^ (_hash(right, key, r) & mask)
    return (left << bits) | right


def _hash(x: Indices, key: int, round_: int) -> Indices:
    """splitmix64 of (x, key, round)."""
    salt = (key * 0xD1342543DE82EF95 + (round_ + 1) * 0x2545F4914F6CDD1D) % (1 << 64)
    with np.errstate(over="ignore"):
        z = (x ^ np.uint64(salt)) * _MIX
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
