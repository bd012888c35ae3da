"""How much the conclusion depends on choices that the data do not make."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fitting.errors import RefusalError
from fitting.fit import fit
from fitting.fitted import Fit
from fitting.measurements import Measurements
from fitting.objectives import NAMES

CONVENTIONS = ("n_params", "n_params_total", "n_params_non_embedding")
LAWS = ("chinchilla", "frontier", "kaplan", "farseer")


def by_objective(m: Measurements, *, law: str, allow_undecayed: bool = False) -> dict[str, Fit]:
    """The law under every objective; those that refuse are left out."""
    options = {"law": law, "allow_undecayed": allow_undecayed}
    return _fits({name: {"objective": name, **options} for name in NAMES}, m)


def by_law(m: Measurements, *, names: tuple[str, ...] = LAWS) -> dict[str, Fit]:
    """Every law of N and D; those that refuse are left out."""
    return _fits({name: {"law": name, "delta": "mad"} for name in names}, m)


def by_convention(columns: Mapping[str, Any], *, law: str = "chinchilla") -> dict[str, Fit]:
    """The law under every count of parameters that the table has.

    Args:
        columns: as for `Measurements.from_columns`; `n_params_total` and
            `n_params_non_embedding` beside `n_params` are the other conventions. C stays 6 N D of
            each, unless the table gives `flops`.

    Compare `residual_sd` and exponents: the convention with the least scatter is the steadiest.
    """
    found: dict[str, Fit] = {}
    for name in CONVENTIONS:
        if name in columns:
            m = Measurements.from_columns({**columns, "n_params": columns[name]}, n_convention=name)
            found |= _fits({name: {"law": law, "delta": "mad"}}, m)
    return found


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
