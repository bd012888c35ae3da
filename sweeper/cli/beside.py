"""`isoflop law downstream|hyper|curve|moe`: laws beside L(N, D), each from a CSV of its own."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sweeper.cli.common import OUT, print_json

Json = Annotated[bool, typer.Option("--json", help="Print strict JSON.")]
Csv = Annotated[Path, typer.Argument(help="One row per point; the columns are named above.")]
Params = Annotated[float | None, typer.Option(help="N of the model that is asked about.")]
Tokens = Annotated[float | None, typer.Option(help="Its D.")]


def register(app: typer.Typer) -> None:
    """Add `law` with its commands."""
    group = typer.Typer(no_args_is_help=True, help="Laws of scores, rates, curves and experts.")
    for command in (downstream, hyper, curve, moe):
        group.command()(command)
    app.add_typer(group, name="law")


def downstream(
    csv: Csv,
    *,
    loss: Annotated[float | None, typer.Option(help="At which the score is asked.")] = None,
    params: Params = None,
    tokens: Tokens = None,
    as_json: Json = False,
) -> None:
    """Score of a loss. Columns: loss, accuracy or error; n_params, n_tokens for two steps."""
    from fitting import beside
    from fitting.columns import read_columns

    optional = ("accuracy", "error", "n_params", "n_tokens")
    columns = read_columns(csv, ["loss"], optional=optional, may_be_zero=("accuracy", "error"))
    _show(beside.downstream(columns, loss=loss, N=params, D=tokens), as_json=as_json)


def hyper(
    csv: Csv,
    *,
    params: Params = None,
    tokens: Tokens = None,
    sequence: Annotated[
        float | None, typer.Option(help="Tokens of one, where the column is batch_sequences.")
    ] = None,
    paraboloid: Annotated[
        bool, typer.Option(help="Optima from paraboloids instead of best runs.")
    ] = False,
    bootstrap: Annotated[int, typer.Option(help="Resamples of the optima.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0,
    as_json: Json = False,
) -> None:
    """Best learning rate and batch. Columns: n_params, n_tokens, lr, batch_tokens, loss."""
    from fitting import beside
    from fitting.columns import read_columns
    from fitting.errors import InputError

    if sequence is not None and not 0 < sequence < float("inf"):
        raise InputError(f"sequence must be finite and positive; got {sequence}", field="sequence")
    batch = "batch_tokens" if sequence is None else "batch_sequences"
    columns = read_columns(csv, ["n_params", "n_tokens", "lr", batch, "loss"])
    columns["batch_tokens"] = columns[batch] * (1 if sequence is None else sequence)
    found = beside.hyper(
        columns, N=params, D=tokens, method="paraboloid" if paraboloid else "best",
        n_bootstrap=bootstrap, seed=seed,
    )  # fmt: skip
    _show(found, as_json=as_json)


def curve(
    csv: Csv,
    *,
    decay: Annotated[float, typer.Option(help="lambda of the annealing, per step.")] = 0.999,
    as_json: Json = False,
) -> None:
    """The end of a run from its beginning. Columns: step, lr, loss (blank: not trained yet)."""
    from fitting import beside
    from fitting.columns import read_columns

    columns = read_columns(csv, ["step", "lr", "loss"], may_be_blank=("loss",), may_be_zero=("lr",))
    _show(beside.curve(columns, decay=decay), as_json=as_json)


def moe(
    csv: Csv,
    *,
    params: Params = None,
    experts: Annotated[float | None, typer.Option(help="Of the model asked about.")] = None,
    as_json: Json = False,
) -> None:
    """What experts are worth. Columns: n_params of the dense base, n_experts, loss."""
    from fitting import beside
    from fitting.columns import read_columns

    columns = read_columns(csv, ["n_params", "n_experts", "loss"])
    _show(beside.moe(columns, N=params, n_experts=experts), as_json=as_json)


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    from sweeper.cli.tables import grid

    table = grid(f"{found['law']} law: {found['n_measurements']} rows", "", "value", "90 % interval")  # fmt: skip
    intervals = found.get("intervals", {})
    for name, value in found["coefficients"].items():
        band = intervals.get(name)
        shown = "unknown" if value is None else f"{value:.4g}"
        table.add_row(name, shown, f"{band[0]:.4g} … {band[1]:.4g}" if band else "")
    OUT.print(table)
    for line in _lines(found):
        OUT.print(line, highlight=False, markup=False)


def _lines(found: dict[str, Any]) -> list[str]:
    lines = []
    if asked := found["prediction"]:
        said = [f"{k} {v:.5g}" if isinstance(v, float | int) else f"{k} {v}" for k, v in asked.items()]  # fmt: skip
        lines.append("prediction: " + ", ".join(said))
    rolled = found["rollout"]
    if "rms" in rolled:
        lines.append(f"rollout: {rolled['n_held']} held out ({rolled['held_out']}), error {rolled['rms']:.3g} of {rolled['unit']}")  # fmt: skip
    else:
        lines.append(f"no rollout: {rolled['reason']}")
    lines += [f"note: {note['message']}" for note in found.get("warnings", [])]
    return lines + [f"left out: {why}" for why in found.get("dropped", [])]
