"""`isoflop work`: the dispatcher's process. Waits to be in charge, connects, works, lets go."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from fitting.errors import InputError
from store.engine import make_engine
from store.errors import LeaseLostError
from store.migrate import check
from store.settings import Settings
from sweeper import ray_head
from sweeper.dispatcher import Dispatcher, Pace
from sweeper.executor import DEFAULT_PAYLOAD, Executor, ExecutorLostError
from sweeper.leader import leading
from sweeper.orphan import end_with_parent
from sweeper.processes import ProcessExecutor


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """How to work: on what, and how to leave."""

    executor: Literal["ray", "process"] = "ray"
    ray_address: str = ""  # empty: this home's own cluster
    insecure: bool = False
    n_cpus: int | None = None  # None: all there are
    drain: bool = False  # on SIGTERM, have workers checkpoint and end
    checkpoint_s: float = 15.0
    payload: str = DEFAULT_PAYLOAD


def work(settings: Settings, how: Work) -> None:
    """Until SIGTERM or SIGINT.

    Raises:
        SchemaError: the database needs `isoflop migrate`.
        InputError: a cluster that may not be used.
    """
    told = threading.Event()
    _listen(told)
    end_with_parent()
    # Compiled kernels of a shape serve every later worker.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(settings.home / "compiled"))
    engine = make_engine(settings.url)
    check(engine)
    with leading(engine, settings.home, told.is_set) as epoch:
        if epoch is None:
            return
        executor = connect(settings, how)
        _listen(told)  # ray.init puts its own handler in the place of ours
        dispatcher = Dispatcher(
            engine=engine,
            settings=settings,
            executor=executor,
            epoch=epoch,
            pace=Pace(checkpoint_s=how.checkpoint_s),
            payload=how.payload,
        )
        try:
            dispatcher.run(told.is_set, drain=how.drain)
        except LeaseLostError as e:
            raise SystemExit(f"{e}; this dispatcher ends, its workers go on") from e
        except ExecutorLostError as e:
            sys.stderr.write(f"{e}; this dispatcher ends, the next one starts another\n")
            os._exit(1)  # an orderly end would wait a minute for what is gone
        finally:
            executor.close()


def _listen(told: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())


def connect(settings: Settings, how: Work) -> Executor:
    """The executor that was asked for."""
    if how.executor == "process":
        return ProcessExecutor(n_cpus=how.n_cpus or os.cpu_count() or 1)
    if how.ray_address:
        if not how.insecure:
            require_token(how.ray_address)
        address = how.ray_address
        head_lives: Callable[[], bool] = _always
    else:
        address = ray_head.ensure_head(settings.home, n_cpus=how.n_cpus).address
        head_lives = partial(_has_head, settings)
    from sweeper import ray_cluster  # noqa: PLC0415  after the token is in the environment

    namespace = ray_head.namespace(settings.home)
    return ray_cluster.connect(address, namespace, head_lives=head_lives)


def _always() -> bool:
    return True


def _has_head(settings: Settings) -> bool:
    return ray_head.running_head(settings.home) is not None


def require_token(address: str) -> None:
    """Raises InputError: the cluster lets in whoever comes, or we have no token for it."""
    if os.environ.get("RAY_AUTH_MODE") != "token":
        raise InputError(
            f"the Ray cluster at {address} needs token authentication: set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN_PATH (or pass --insecure on a network that only you can reach)",
            field="ray_address",
        )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
    probe = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False)"
    try:
        stranger = subprocess.run(
            [sys.executable, "-c", probe, address],
            env=environment | {"RAY_AUTH_MODE": "disabled", "HOME": "/nonexistent"},
            capture_output=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return
    if stranger.returncode == 0:
        raise InputError(
            f"the Ray cluster at {address} lets in whoever comes without a token, so anyone who "
            "reaches it runs code as you; start it with RAY_AUTH_MODE=token (or pass --insecure)",
            field="ray_address",
        )
