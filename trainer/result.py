"""What a job leaves behind: its result, and the journal it writes on the way. No torch.

Whoever executes jobs reads `result.json`, `progress.jsonl` and `measurements.jsonl` with this.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from fitting.errors import InputError

Status = Literal["finished", "diverged", "oom", "stopped"]
RESULT, PROGRESS, MEASUREMENTS = "result.json", "progress.jsonl", "measurements.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    status: Status
    reason: str  # a sentence; empty when finished
    measurements: tuple[dict[str, Any], ...]  # one per horizon reached
    train_seconds: float  # over all attempts, evaluation and start-up included
    tok_s: float  # trained tokens per second, without evaluation and compilation
    n_tokens_processed: int
    n_skipped: int  # steps left out by the guard
    device: str
    precision: str
    compiled: bool
    n_threads: int  # of each process
    spec_hash: str
    code_hash: str
    n_processes: int = 1  # that trained it together, on its last attempt
    recompute: bool = False  # whether activations were made again rather than kept
    graph: bool = False  # whether a step was one CUDA graph
    n_parts: int = 1  # that each batch was taken in
    n_stacked: int = 1  # runs that shared each step's time
    can_shrink: bool = False  # out of memory: another attempt would take less
    energy: dict[str, Any] | None = None  # this attempt's `trainer.energy.Reading`, where metered

    @property
    def final(self) -> bool:
        """Nothing would come of another attempt."""
        again = self.status == "stopped" or (self.status == "oom" and self.can_shrink)
        return not again

    def to_dict(self) -> dict[str, Any]:
        return json.loads(json.dumps(asdict(self), allow_nan=False))

    def save(self, folder: Path) -> None:
        part = folder / f"{RESULT}.part"
        part.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")
        part.replace(folder / RESULT)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """None where there is none. Raises InputError for a damaged one."""
        path = folder / RESULT
        if not path.is_file():
            return None
        try:
            d = json.loads(path.read_text())
            return cls(**{**d, "measurements": tuple(d["measurements"])})
        except (KeyError, TypeError, ValueError) as e:
            raise InputError(
                f"{path} is not a run's result: {e} (delete it; the run goes on from its "
                f"checkpoint)",
                field="out",
            ) from e


class Journal:
    """Appends JSON lines; knows its length, so that a resumed run cuts off what it will repeat."""

    def __init__(
        self, folder: Path, lengths: dict[str, int] | None, *, active: bool = True
    ) -> None:
        self.folder, self.active = folder, active  # only one process of several writes
        for name in (PROGRESS, MEASUREMENTS) if active else ():
            path = folder / name
            path.touch()
            kept = path.read_bytes()[: (lengths or {}).get(name, 0)]
            os.truncate(path, kept.rfind(b"\n") + 1)  # whole lines, of what there still is

    def append(self, name: str, record: dict[str, Any]) -> None:
        if self.active:
            with (self.folder / name).open("a") as stream:
                stream.write(json.dumps(record, allow_nan=False) + "\n")

    def lengths(self) -> dict[str, int]:
        """Flushed to disk first: a checkpoint that is there after a crash finds so much journal."""
        out = {}
        for name in (PROGRESS, MEASUREMENTS) if self.active else ():
            with (self.folder / name).open("rb") as stream:
                os.fsync(stream.fileno())
                out[name] = os.fstat(stream.fileno()).st_size
        return out


def read_lines(folder: Path, name: str = PROGRESS) -> list[dict[str, Any]]:
    """The journal so far; a line still being written is left out."""
    path = folder / name
    lines = path.read_text().split("\n")[:-1] if path.is_file() else []
    return [json.loads(line) for line in lines]
