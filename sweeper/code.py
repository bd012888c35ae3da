"""Which code trains: a hash that is part of a run's identity, the same in every process.

Covers everything that decides a result: the trainer, the definition of a model's shape, and the
pinned versions beneath them.
"""

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_BENEATH = ("torch", "numpy", "tokenizers")  # where there is no constraints.txt (a wheel)


def code_hash(root: Path = _ROOT) -> str:
    """SHA-256 of the sources and pins, by relative path. Read from disk at each call."""
    files = sorted((root / "trainer").rglob("*.py"))
    files += [root / "fitting/costs/architecture.py", root / "fitting/costs/flops.py"]
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes() + b"\0")
    digest.update(_pins(root).encode())
    return digest.hexdigest()


def _pins(root: Path) -> str:
    pinned = root / "constraints.txt"
    return pinned.read_text() if pinned.is_file() else " ".join(map(_version, _BENEATH))


def _version(name: str) -> str:
    try:
        return f"{name}=={version(name)}"
    except PackageNotFoundError:
        return f"{name} absent"
