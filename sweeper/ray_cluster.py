"""Joining a Ray cluster that is there: this home's own, or one that was named."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import ray

from sweeper.executor import Need
from sweeper.ray_actors import RayExecutor
from sweeper.ray_worker import runtime_env


def connect(
    address: str, namespace: str, *, head_lives: Callable[[], bool] = lambda: True
) -> RayExecutor:
    """Join the cluster at `address`; never start or guess one."""
    ray.init(
        address=address,
        namespace=namespace,
        log_to_driver=False,
        configure_logging=False,
        runtime_env=runtime_env({"PYTHONPATH": str(Path(__file__).parents[1])}),
    )
    total = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return RayExecutor(
        n_cpus=int(total.get("CPU", 0)),
        n_gpus=int(total.get("GPU", 0)),
        largest=largest_of([n["Resources"] for n in ray.nodes() if n["Alive"]]),  # type: ignore[no-untyped-call]
        head_lives=head_lives,
    )


def largest_of(machines: Sequence[Mapping[str, float]]) -> Need:
    """The machine with most GPUs, and of those with most cores."""
    most = max(((m.get("GPU", 0), m.get("CPU", 0)) for m in machines), default=(0, 0))
    return Need(n_gpus=int(most[0]), n_cpus=int(most[1]))
