"""How much the conclusion depends on choices that the data do not make."""

from typing import Any

import numpy as np

from fitting.errors import RefusalError
from fitting.fit import fit
from fitting.fitted import Fit
from fitting.measurements import Measurements
from fitting.objectives import NAMES

LAWS = ("chinchilla", "frontier", "kaplan", "farseer")


def by_objective(m: Measurements, *, law: str, allow_undecayed: bool = False) -> dict[str, Fit]:
    """The law under every objective; those that refuse are left out."""
    options = {"law": law, "allow_undecayed": allow_undecayed}
    return _fits({name: {"objective": name, **options} for name in NAMES}, m)


def by_law(m: Measurements, *, names: tuple[str, ...] = LAWS) -> dict[str, Fit]:
    """Every law of N and D; those that refuse are left out."""
    return _fits({name: {"law": name, "delta": "mad"} for name in names}, m)


def _fits(options: dict[str, dict[str, Any]], m: Measurements) -> dict[str, Fit]:
    found = {}
    for name, chosen in options.items():
        try:
            found[name] = fit(m, **chosen)
        except RefusalError:
            continue
    return found


def sensitivity(m: Measurements, flops: float) -> dict[str, dict[str, float]]:
    """N* at `flops` under every objective and every law, and the spread of ln N* over them."""
    fits = {f"objective {k}": f for k, f in by_objective(m, law="chinchilla").items()}
    fits |= {f"law {k}": f for k, f in by_law(m).items()}
    rows = {k: float(f.optimum(flops)[0]) for k, f in fits.items()}
    known = {k: v for k, v in rows.items() if np.isfinite(v)}
    spread = float(np.std(np.log(list(known.values())))) if known else 0.0
    return {"n_params": known, "spread": {"log_n_params_sd": spread}}
