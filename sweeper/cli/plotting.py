"""`isoflop plot KIND runs.csv -o file.svg|png`: any figure of the laws from a CSV."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fitting.measurements import Measurements

KINDS = ("isoflop", "frontier", "allocation", "contours", "residuals", "profile", "rollout",
         "cloud", "calibration")  # fmt: skip
DPI = 150


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(plot)


def plot(
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS))],
    csv: Annotated[Path, typer.Argument(help="Columns n_params, n_tokens, loss, …")],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="file.svg, .png or .pdf")],
    law: Annotated[str, typer.Option(help="Of a single-law figure.")] = "chinchilla",
    name: Annotated[str, typer.Option(help="Coefficient of the profile.")] = "alpha",
    flops: Annotated[float | None, typer.Option(help="Budget asked about.")] = None,
    bootstrap: Annotated[int, typer.Option(help="Resamples.")] = 300,
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0,
    keep_outliers: Annotated[bool, typer.Option(help="Use flagged rows too.")] = False,
) -> None:
    """Draw one figure."""
    from fitting.errors import InputError
    from sweeper.cli.common import OUT
    from sweeper.cli.laws import load

    if kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}", field="kind")
    if output.suffix not in {".svg", ".png", ".pdf"}:
        raise InputError(f"output must end in .svg, .png or .pdf; got {output.name!r}", field="output")  # fmt: skip
    m = load(csv, keep_outliers=keep_outliers)
    figure = draw(kind, m, law=law, name=name, flops=flops, n_bootstrap=bootstrap, seed=seed)
    figure.savefig(output, dpi=DPI)
    OUT.print(f"{output}: {kind} of {len(m)} measurements", highlight=False)


def draw(
    kind: str, m: "Measurements", *, law: str, name: str, flops: float | None, n_bootstrap: int,
    seed: int,
) -> "Figure":  # fmt: skip
    """The figure, not yet saved."""
    if kind in {"frontier", "allocation", "rollout"}:
        ax = _of_analysis(kind, m, flops, n_bootstrap, seed)
    elif kind in {"contours", "residuals", "cloud"}:
        ax = _of_fit(kind, m, law, flops, n_bootstrap, seed)
    else:
        ax = {"isoflop": _isoflop, "profile": _profile, "calibration": _calibration}[kind](
            m, law, name
        )
    first: Any = ax[0] if isinstance(ax, tuple) else ax
    return first.figure  # type: ignore[no-any-return]


def _of_analysis(kind: str, m: "Measurements", flops: float | None, n: int, seed: int) -> Any:
    from fitting.analysis import analyse
    from reports import allocation, frontier, rollout

    a = analyse(m, n_bootstrap=n, seed=seed)
    if kind == "rollout":
        return rollout.plot(rollout.curves(a))
    if kind == "frontier":
        return frontier.plot(frontier.curves(a, target=flops), unit=m.loss_unit)
    return allocation.plot(allocation.curves(a, target=flops))


def _of_fit(kind: str, m: "Measurements", law: str, flops: float | None, n: int, seed: int) -> Any:  # noqa: PLR0917
    from fitting.fit import fit
    from reports import cloud, contours, residuals

    fitted = fit(m, law=law, n_bootstrap=n if kind == "cloud" else 0, seed=seed)
    if kind == "cloud":
        return cloud.plot(cloud.curves(fitted, flops or 10 * float(m.flops.max())))
    if kind == "contours":
        return contours.plot(contours.curves(fitted, m), unit=m.loss_unit)
    return residuals.plot(residuals.curves(fitted, m))


def _isoflop(m: "Measurements", _law: str, _name: str) -> Any:
    from fitting.isoflop import isoflop
    from reports import isoflop as figure

    return figure.plot(figure.curves(m, isoflop(m)), unit=m.loss_unit)


def _profile(m: "Measurements", law: str, name: str) -> Any:
    import numpy as np

    from fitting.fit import fit
    from fitting.profile import profile
    from reports import profile as figure

    found = fit(m, law=law)
    value, error = found.coefficients.get(name, 1.0), found.standard_errors.get(name, 0.0)
    wide = 0 < value < 2 * error or name.startswith("R_")
    grid = np.geomspace(value / 1e3, value * 1e3, 25) if wide else value + error * np.linspace(-4, 4, 25)  # fmt: skip
    return figure.plot(figure.curves(profile(m, name, grid[grid > 0], law=law)))


def _calibration(m: "Measurements", _law: str, _name: str) -> Any:
    from fitting.calibration import calibration
    from reports import calibration as figure

    return figure.plot(figure.curves(calibration(m)))
