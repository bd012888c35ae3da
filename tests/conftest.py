"""Fixtures that every package's tests share."""

import os
from pathlib import Path

# Our arrays are small: one thread is several times faster than a contended pool.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

# The same examples on every change; new ones with HYPOTHESIS=explore.
_QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
settings.register_profile(
    "repeat", derandomize=True, deadline=None, max_examples=50, suppress_health_check=_QUIET
)
settings.register_profile("explore", deadline=None, max_examples=1000, suppress_health_check=_QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS", "repeat"))


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Published runs and tables, kept beside the checkout and not in it."""
    folder = Path(os.environ.get("ISOFLOP_REFERENCE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; set ISOFLOP_REFERENCE_DATA")
    return folder
