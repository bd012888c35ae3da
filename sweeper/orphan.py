"""A child of `isoflop up` ends in order when its parent is gone, however that happened."""

import os
import signal
import threading
import time

VARIABLE = "ISOFLOP_SUPERVISOR"


def end_with_parent(poll_s: float = 1.0) -> None:
    """If a supervisor started this process, send itself SIGTERM once that supervisor is gone."""
    parent = os.environ.pop(VARIABLE, "")
    if not parent:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(poll_s)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="parent").start()
