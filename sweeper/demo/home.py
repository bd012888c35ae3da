"""Where a demo lives: one folder per demo, so that a new one starts from nothing.

`demo.json` in it remembers the idempotency key; everything else is asked of the service, which
is why `--resume` needs no more than this file.
"""

import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from fitting.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoHome:
    folder: Path
    key: str  # idempotency key of the sweep and of the launch


def new(root: Path) -> DemoHome:
    """A fresh folder under `root`, named by the time."""
    folder = root / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    home = DemoHome(folder=folder, key=f"demo-{uuid.uuid4()}")
    (folder / "demo.json").write_text(json.dumps({"key": home.key}) + "\n")
    return home


def latest(root: Path) -> DemoHome:
    """The newest demo under `root`.

    Raises:
        InputError: there is none to resume.
    """
    folders = sorted(p.parent for p in root.glob("*/demo.json"))
    if not folders:
        raise InputError(f"no demo to resume in {root}; start one with `isoflop demo`")
    folder = folders[-1]
    return DemoHome(folder=folder, key=json.loads((folder / "demo.json").read_text())["key"])
