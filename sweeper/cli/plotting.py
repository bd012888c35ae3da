"""`isoflop plot KIND runs.csv -o file.svg|png`: any figure of the laws from a CSV.

`cost-loss` takes a published law where no CSV is given; `learning-rates` needs none.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fitting.costs.question import Law
    from fitting.measurements import Measurements

KINDS = ("isoflop", "frontier", "allocation", "contours", "residuals", "profile", "rollout",
         "cloud", "calibration", "cost-loss", "learning-rates")  # fmt: skip
OF_TABLES = ("cost-loss", "learning-rates")  # no CSV needed
FORMS = (".svg", ".png", ".pdf")
FLOPS = (1e19, 1e27)  # of a published law
DPI = 150


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(plot)


def plot(
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS))],
    csv: Annotated[Path | None, typer.Argument(help="Columns n_params, n_tokens, loss, …")] = None,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="file.svg, .png or .pdf")],
    law: Annotated[str, typer.Option(help="Of a single-law figure; or a published one.")] = "",
    name: Annotated[str, typer.Option(help="Coefficient of the profile.")] = "alpha",
    flops: Annotated[float | None, typer.Option(help="Budget asked about.")] = None,
    device: Annotated[str, typer.Option(help="Of cost-loss, such as h100-sxm.")] = "h100-sxm",
    bootstrap: Annotated[int, typer.Option(help="Resamples.")] = 300,
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0,
    keep_outliers: Annotated[bool, typer.Option(help="Use flagged rows too.")] = False,
) -> None:
    """Draw one figure."""
    from sweeper.cli.common import OUT
    from sweeper.cli.laws import load

    _check(kind, csv, output)
    m = None if csv is None else load(csv, keep_outliers=keep_outliers)
    if m is None or kind in OF_TABLES:
        figure = draw_tables(kind, m, law=law, flops=flops, device=device)
    else:
        law = law or "chinchilla"
        figure = draw(kind, m, law=law, name=name, flops=flops, n_bootstrap=bootstrap, seed=seed)
    save(figure, output)
    of = "published figures" if m is None else f"{len(m)} measurements"
    OUT.print(f"{output}: {kind} of {of}", highlight=False)


def _check(kind: str, csv: Path | None, output: Path) -> None:
    from fitting.errors import InputError

    if kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}", field="kind")
    check_form(output)
    if csv is None and kind not in OF_TABLES:
        raise InputError(f"the figure {kind!r} needs a CSV file; got none", field="csv")
    if csv is not None and kind == "learning-rates":
        raise InputError("learning-rates draws published models: leave the CSV out", field="csv")


def check_form(output: Path) -> None:
    """Raises InputError: a file of no form that can be drawn."""
    from fitting.errors import InputError

    if output.suffix not in FORMS:
        raise InputError(f"output must end in .svg, .png or .pdf; got {output.name!r}", field="output")  # fmt: skip


def save(figure: "Figure", output: Path) -> None:
    """In the form that the file's name says."""
    figure.savefig(output, dpi=DPI)


def draw_tables(
    kind: str, m: "Measurements | None", *, law: str, flops: float | None, device: str
) -> "Figure":
    """A figure of the tables; cost-loss of a law fitted to `m`, where there is one."""
    from reports import cost_loss, learning_rates
    from reports.render import figure_of
    from trainer.recipe import BASE_LR, BASE_WIDTH

    if kind == "learning-rates":
        found = learning_rates.curves(base_lr=BASE_LR, base_width=BASE_WIDTH)
        return figure_of(learning_rates.plot(found))
    chosen, span = _priced_law(m, law)
    marks = {"budget": flops} if flops else None
    return figure_of(
        cost_loss.plot(cost_loss.curves(chosen, flops=span, marks=marks, device=device))
    )


def _priced_law(m: "Measurements | None", law: str) -> "tuple[Law, tuple[float, float]]":
    """A law and the computes between which its optimum is priced [FLOP]."""
    if m is None:
        from fitting.costs.published import published_law

        return published_law(law or "chinchilla-epoch"), FLOPS
    from fitting.costs.fitted import FittedLaw
    from fitting.fit import fit

    fitted = FittedLaw(fit=fit(m, law=law or "chinchilla"), measurements=m)
    return fitted, (float(m.flops.min()), 1e3 * float(m.flops.max()))


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
