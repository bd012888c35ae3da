"""Analyses by their stored result. One takes seconds and is deterministic, and a page with three
figures and an answer needs the same one four times."""

import json
import threading
from functools import lru_cache
from typing import Any

from fitting.analysis import Analysis

N_KEPT = 16
_ONE_AT_A_TIME = threading.Lock()  # threads that want the same one wait for it


def analysis_of(result: dict[str, Any]) -> Analysis:
    """The analysis that `result` is the JSON of."""
    with _ONE_AT_A_TIME:
        return _analysis(json.dumps(result, sort_keys=True))


@lru_cache(maxsize=N_KEPT)
def _analysis(text: str) -> Analysis:
    return Analysis.from_dict(json.loads(text))
