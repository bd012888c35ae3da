"""Places where a test may kill the dispatcher: `ISOFLOP_FAULT=after_claim` does so at the first
arrival, `after_claim:3` at the third. Without the variable nothing happens.
"""

import os
import signal

VARIABLE = "ISOFLOP_FAULT"
_arrivals: dict[str, int] = {}


def point(name: str) -> None:
    """A power cut here must do no harm."""
    wanted, _, count = os.environ.get(VARIABLE, "").partition(":")
    if wanted != name:
        return
    _arrivals[name] = _arrivals.get(name, 0) + 1
    if _arrivals[name] == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
