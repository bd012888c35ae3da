"""One attempt at a run: its clock, journal, checkpoints and result, around the events of `train`.

The training itself is in `session`; whoever drives the loop hands each event to `handle`.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from trainer import checkpoint
from trainer.checkpoint import Checkpoint
from trainer.config import RunSpec
from trainer.data.corpus import Corpus
from trainer.execution import Execution
from trainer.measurement import code_hash, measurement
from trainer.memory import windows_of
from trainer.meters import LOST, Energy, Pace, Streak, is_oom
from trainer.result import MEASUREMENTS, PROGRESS, Journal, Result, Status
from trainer.schedule import n_steps, segments
from trainer.session import Session, open_session
from trainer.train import Measured, Stepped, train
from trainer.weights import save_model
from trainer.world import World

LOG_LINES = 256  # of a whole run, about; each tells the mean loss of its (last 128) steps
POLL_STEPS = 8  # how often `should_stop` and the clock are asked


class Attempt:
    """Keeps the clock and the journal of one attempt; the training itself is in `session`."""

    def __init__(
        self,
        folder: Path,
        spec: RunSpec,
        execution: Execution,
        checkpoint_every_s: float,
        should_stop: Callable[[], bool],
    ) -> None:
        self.folder, self.spec, self.execution = folder, spec, execution
        self.checkpoint_every_s, self.should_stop = checkpoint_every_s, should_stop
        self.every = max(1, n_steps(spec) // LOG_LINES)
        self.measurements: list[dict[str, Any]] = []
        self.seconds_before = 0.0
        self.started = self.saved = time.monotonic()
        self.pace = Pace(spec.batch_tokens)
        self.session: Session | None = None
        self.world = World()

    def run(self, data_dir: Path, found: Checkpoint | None, world: World) -> Result:
        try:
            session = self.open(data_dir, found, world)
            self.begin(session)
            for event in train(session):
                over = self.handle(event, session)
                if over:
                    return self.result(*over)
            return self.result("finished", "")
        except (MemoryError, torch.OutOfMemoryError, RuntimeError) as e:
            if not is_oom(e):
                raise
            return self.result("oom", self._oom_reason(e))

    def open(self, data_dir: Path, found: Checkpoint | None, world: World) -> Session:
        """The session, where the checkpoint left it."""
        meta, self.world = found.meta if found else {}, world
        self.measurements = list(meta.get("measurements", []))
        self.seconds_before = meta.get("seconds", 0.0)
        self.journal = Journal(self.folder, meta.get("journal"), active=world.first)
        self.energy = Energy(self.execution.device, n_sharing=world.size * self.execution.n_stacked)
        corpus = Corpus(data_dir, self.spec.data, context=self.spec.model.context)
        self.session = open_session(self.spec, corpus, self.execution, world)
        if found:
            tensors = found.load(self.session.live())
            self.session.restore(tensors, segment=meta["segment"], step=meta["step"])
        return self.session

    @property
    def can_shrink(self) -> bool:
        """Whether an attempt after this one could do with less memory."""
        n_windows = windows_of(self.spec, self.world.size)
        return not self.execution.recompute or self.execution.n_parts < n_windows

    def _oom_reason(self, e: BaseException) -> str:
        if not self.execution.recompute:
            remedy = "the next attempt recomputes activations, which takes less"
        elif self.can_shrink:
            remedy = "the next attempt takes the batch in more parts, which takes less"
        else:
            remedy = "start more processes, or ask for a smaller model"
        return f"out of memory on {self.execution.device}: {e}"[:400] + f" ({remedy})"

    def begin(self, session: Session) -> None:
        """Directly before the first step."""
        self.pace.restart()
        self.streak = Streak(int(session.guard.n_skipped))

    def handle(self, event: Stepped | Measured, session: Session) -> tuple[Status, str] | None:
        """Journal it; how and why the run is over, or None to go on."""
        if isinstance(event, Measured):
            if not math.isfinite(event.evaluation.loss):
                return "diverged", f"the loss measured at {event.horizon} tokens is not finite"
            self._record(event, session)
            self.pace.restart()
            return None
        self.pace.step()
        self.streak.step()
        if event.step % self.every == 0 or event.step == event.segment.last:
            reason = self._log(event, session)
            if reason:
                return "diverged", reason
        if event.step % POLL_STEPS == 0 and self._interrupted(session):
            return "stopped", "asked to stop; a checkpoint was written"
        return None

    def _interrupted(self, session: Session) -> bool:
        due = time.monotonic() - self.saved > self.checkpoint_every_s
        stop, due = session.world.agree(self.should_stop(), due)
        if stop or due:
            self._save(session)
        return stop

    def _save(self, session: Session) -> None:
        meta = {
            "spec_hash": self.spec.fingerprint(),
            "data_fingerprint": self.spec.data.fingerprint,
            "segment": session.segment,
            "step": session.step,
            "execution": self.execution.to_dict(),
            "measurements": self.measurements,
            "journal": self.journal.lengths(),
            "seconds": self._seconds(),
        }
        checkpoint.save(self.folder / checkpoint.FOLDER, session.state(), meta, session.world)
        self.energy.look()
        self.saved = time.monotonic()

    def _log(self, event: Stepped, session: Session) -> str:
        """Journal the steps since the last line; a reason when the run has diverged."""
        loss, norm = event.loss.item(), event.norm.item()
        lost = self.streak.is_lost(int(session.guard.n_skipped))
        if not math.isfinite(loss) or not math.isfinite(norm):
            return (
                f"loss {loss} and gradient norm {norm} at step {event.step}: {LOST}" if lost else ""
            )
        record = {
            "step": event.step,
            "n_tokens": event.step * self.spec.batch_tokens,
            "loss": session.guard.mean(event.step - self._logged_before(event)).item(),
            "lr": self.spec.optimizer.lr * event.level,
            "grad_norm": norm,
            "tok_s": self.pace.tok_s,
            "seconds": self._seconds(),
            "phase": event.segment.kind,
            "horizon": event.segment.horizon,
            "share": self._share(),
        }
        self.journal.append(PROGRESS, record)
        return ""

    def _logged_before(self, event: Stepped) -> int:
        """The step of the line before, whether or not this attempt wrote it."""
        return max(event.segment.first, (event.step - 1) // self.every * self.every)

    def _share(self) -> float:
        """Part of the whole job that is done, branches included, in [0, 1]."""
        s = self.session
        if s is None:
            return 0.0
        chain = segments(self.spec)
        done = sum(c.last - c.first for c in chain[: s.segment])
        here = s.step - chain[s.segment].first if s.segment < len(chain) else 0
        return (done + here) / n_steps(self.spec)

    def _record(self, event: Measured, session: Session) -> None:
        record = measurement(self.spec, session.corpus, event.horizon, event.evaluation)
        self.measurements.append(record)
        self.journal.append(MEASUREMENTS, record)
        if event.horizon == self.spec.n_tokens and session.world.first:
            save_model(self.folder, self.spec, event.weights)

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def result(self, status: Status, reason: str) -> Result:
        s = self.session
        return Result(
            status=status,
            reason=reason,
            measurements=tuple(self.measurements),
            train_seconds=self._seconds(),
            tok_s=self.pace.tok_s,
            n_tokens_processed=round(self._share() * n_steps(self.spec)) * self.spec.batch_tokens,
            n_skipped=int(s.guard.n_skipped) if s else 0,
            device=self.execution.device,
            precision=self.execution.precision,
            compiled=self.execution.compiled,
            n_threads=self.execution.n_threads,
            n_processes=self.world.size,
            recompute=self.execution.recompute,
            n_parts=self.execution.n_parts,
            n_stacked=self.execution.n_stacked,
            graph=self.execution.graph,
            can_shrink=self.can_shrink,
            spec_hash=self.spec.fingerprint(),
            code_hash=code_hash(),
            energy=self.energy.look(),
        )
