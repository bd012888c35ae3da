"""One run from folder to folder: the whole payload of an executor, and of `python -m trainer`.

Resumes from the newest valid checkpoint, journals, checkpoints, and ends in `result.json`.
Divergence and lack of memory are results; a run that cannot be meant raises InputError.
"""

from collections.abc import Callable
from pathlib import Path

from trainer import checkpoint
from trainer.attempt import Attempt
from trainer.compiling import Compile
from trainer.config import RunSpec
from trainer.data.manifest import Manifest
from trainer.execution import choose_execution, with_graph
from trainer.memory import Recompute, free_bytes, with_parts, with_recompute
from trainer.meters import sigterm
from trainer.result import Result
from trainer.threads import using_threads, with_threads
from trainer.validate import validate
from trainer.world import check_world, join_world


def run_job(
    folder: Path,
    spec: RunSpec,
    data_dir: Path,
    *,
    device: str = "auto",
    compile: Compile = "auto",  # noqa: A002
    recompute: Recompute = "auto",
    parts: int | None = None,
    graph: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint_every_s: float = 60.0,
) -> Result:
    """Train `spec` on the corpus in `data_dir` to its end, or until told to stop.

    A finished or diverged result in `folder` is returned as it is; after lack of memory the next
    call recomputes activations, and those after it take the batch in eight times as many `parts`
    (None: as few as fit), down to single windows. SIGTERM and `should_stop` write a checkpoint and return
    status "stopped"; the next call goes on from it, bit for bit.

    Raises:
        InputError: the spec, the corpus or the device cannot be meant, or the folder holds
            another run's checkpoint; nothing was allocated.
    """
    done, at_least = Result.load(folder), 1
    if done is not None and done.spec_hash == spec.fingerprint():
        if done.final:
            return done
        if recompute == "auto" and (done.recompute or done.status == "oom"):
            recompute = "always"
        if done.status == "oom" and done.recompute:
            at_least = 8 * done.n_parts
    manifest = Manifest.load(data_dir)
    validate(spec, manifest)
    found = checkpoint.of_run(folder, spec)
    meta = found.meta if found else None
    execution = choose_execution(spec, device, compile, resumed=meta)
    with join_world(execution.device) as world, sigterm() as told:
        check_world(spec, world, resumed=found.path.name if found else "")
        n, free = world.size, min(world.gather(free_bytes(execution.device)))
        execution = with_recompute(spec, execution, recompute, free=free, n_processes=n)
        at_least = max(at_least, execution.n_parts)
        execution = with_parts(spec, execution, parts, free=free, n_processes=n, at_least=at_least)
        execution = with_threads(spec, execution, resumed=meta)
        execution = with_graph(spec, execution, wanted=graph, n_processes=n)
        folder.mkdir(parents=True, exist_ok=True)
        with using_threads(execution.n_threads):
            attempt = Attempt(
                folder, spec, execution, checkpoint_every_s, lambda: told() or should_stop()
            )
            result = attempt.run(data_dir, found, world)
        if world.first or result.status == "oom":  # the others then wait for this one in vain
            result.save(folder)
    return result
