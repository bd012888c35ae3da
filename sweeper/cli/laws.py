"""`isoflop fit`, `recommend`, `predict`: conclusions from a CSV, without a service.

With --sweep, --study or --fit the running service answers instead, with the same JSON.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.common import print_json, refuse_given

if TYPE_CHECKING:
    from fitting.measurements import Measurements

Csv = Annotated[Path | None, typer.Argument(help="Columns n_params, n_tokens, loss, …")]
Json = Annotated[bool, typer.Option("--json", help="Print strict JSON.")]
Law = Annotated[str, typer.Option(help="chinchilla, frontier, kaplan, farseer, muennighoff, …; auto: all approaches")]  # fmt: skip
Objective = Annotated[str, typer.Option(help="huber, lad, log_mse or mse.")]
Delta = Annotated[str, typer.Option(help="Huber's, of ln L; 'mad': from the residuals. Default 1e-3.")]  # fmt: skip
Bootstrap = Annotated[int, typer.Option(help="Resamples; 0: intervals from the covariance.")]
Seed = Annotated[int, typer.Option(help="Of the resamples.")]
KeepOutliers = Annotated[bool, typer.Option(help="Use rows flagged excluded_outlier too.")]
Undecayed = Annotated[bool, typer.Option(help="Use rows measured before the rate had decayed.")]
ONE_LAW = ("objective", "delta", "iid", "scheme", "allow_undecayed")


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    from sweeper.cli import beside, compare, design, plotting

    for command in (fit, recommend, predict):
        app.command()(command)
    compare.register(app)
    design.register(app)
    plotting.register(app)
    beside.register(app)


def fit(
    context: typer.Context,
    csv: Csv = None,
    *,
    law: Law = "chinchilla",
    objective: Objective = "huber",
    delta: Delta = "",
    bootstrap: Bootstrap = 0,
    seed: Seed = 0,
    iid: Annotated[bool, typer.Option(help="Ignore the column `group`.")] = False,
    scheme: Annotated[str, typer.Option(help="pairs, wild or parametric; default by data.")] = "",
    keep_outliers: KeepOutliers = False,
    allow_undecayed: Undecayed = False,
    sweep: Annotated[int | None, typer.Option(help="A sweep of the service.")] = None,
    study: Annotated[str | None, typer.Option(help="A study of the service.")] = None,
    as_json: Json = False,
) -> None:
    """Fit a scaling law: coefficients, exponents, intervals, and how the search went."""
    _refuse_for_auto(context, law, *ONE_LAW)
    if csv is None:
        refuse_given(
            context,
            *ONE_LAW[1:],
            "keep_outliers",
            because="needs a CSV file: a service fits with its own",
        )
        _fit_by_service(
            sweep, study, law=law, objective=objective, seed=seed,
            n_bootstrap=bootstrap or (1000 if law == "auto" else 0),
        )  # fmt: skip
        return
    refuse_given(context, "sweep", "study", because="is of the service, and a CSV file was given")
    m = load(csv, keep_outliers=keep_outliers)
    if law == "auto":
        from fitting.analysis import analyse

        found = analyse(m, n_bootstrap=bootstrap or 1000, seed=seed)
        result = {k: v for k, v in found.to_dict().items() if k != "measurements"}
    else:
        from fitting.fit import fit as fit_law

        result = fit_law(
            m, law=law, objective=objective, delta=parse_delta(delta), n_bootstrap=bootstrap,
            seed=seed, cluster=False if iid else None, allow_undecayed=allow_undecayed,
            scheme=scheme or None,  # type: ignore[arg-type]  # resample() names a wrong one
        ).to_dict()  # fmt: skip
        del result["samples"]
    if as_json:
        print_json(result)
        return
    from sweeper.cli import tables

    (tables.show_analysis if law == "auto" else tables.show_fit)(result, m)


def recommend(
    context: typer.Context,
    csv: Csv = None,
    *,
    budget: Annotated[str, typer.Option(help="5.76e23FLOP, 5000usd, 30d@1024xh100-sxm, …")],
    law: Law = "chinchilla",
    objective: Objective = "huber",
    delta: Delta = "",
    bootstrap: Bootstrap = 1000,
    seed: Seed = 0,
    inference_tokens: Annotated[float, typer.Option(help="Served over the model's life.")] = 0.0,
    unique_tokens: Annotated[float | None, typer.Option(help="What the corpus holds.")] = None,
    keep_outliers: KeepOutliers = False,
    fit_id: Annotated[int | None, typer.Option("--fit", help="A fit of the service.")] = None,
    as_json: Json = False,
) -> None:
    """What to train on a budget: N*, D*, loss, price, and whether the data support it."""
    from sweeper.cli import tables
    from sweeper.cli.answers import Question, answer, by_service

    _refuse_for_auto(context, law, "objective", "delta")
    question = Question(
        budget=budget, law=law, objective=objective, delta=parse_delta(delta), n_bootstrap=bootstrap,
        seed=seed, inference_tokens=inference_tokens, unique_tokens=unique_tokens,
    )  # fmt: skip
    if csv is None:
        refuse_given(
            context, "law", "objective", "delta", "bootstrap", "seed", "keep_outliers",
            because="needs a CSV file: a fit of the service has its own",
        )  # fmt: skip
        result = by_service(fit_id, question)
    else:
        refuse_given(context, "fit_id", because="is of the service, and a CSV file was given")
        result = answer(load(csv, keep_outliers=keep_outliers), question)
    print_json(result) if as_json else tables.show_recommendation(result)
    if result["verdict"] == "refused":
        raise typer.Exit(3)


def predict(
    csv: Annotated[Path, typer.Argument(help="Columns n_params, n_tokens, loss, …")],
    *,
    params: Annotated[float, typer.Option(help="N.")],
    tokens: Annotated[float, typer.Option(help="D.")],
    unique_tokens: Annotated[float | None, typer.Option(help="What the corpus holds.")] = None,
    law: Law = "chinchilla",
    objective: Objective = "huber",
    delta: Delta = "",
    bootstrap: Bootstrap = 1000,
    seed: Seed = 0,
    keep_outliers: KeepOutliers = False,
    as_json: Json = False,
) -> None:
    """The loss of one run, with its prediction interval and a verdict."""
    from fitting.fit import fit as fit_law
    from fitting.predict import predict_run
    from sweeper.cli import tables

    m = load(csv, keep_outliers=keep_outliers)
    fitted = fit_law(
        m, law=law, objective=objective, delta=parse_delta(delta), n_bootstrap=bootstrap, seed=seed
    )
    result = predict_run(fitted, m, params, tokens, unique_tokens=unique_tokens)
    print_json(result) if as_json else tables.show_prediction(result)


def _refuse_for_auto(context: typer.Context, law: str, *options: str) -> None:
    if law == "auto":
        refuse_given(context, *options, because="is of a single law, and 'auto' fits all of them")


def load(csv: Path, *, keep_outliers: bool) -> "Measurements":
    """Measurements of a CSV file."""
    from fitting.measurements import Measurements

    return Measurements.from_csv(csv, keep_excluded=keep_outliers)


def parse_delta(text: str) -> float | str | None:
    """A number, "mad", or the default."""
    from fitting.errors import InputError

    if text in ("", "mad"):
        return text or None
    try:
        return float(text)
    except ValueError:
        raise InputError(f"delta must be a number or 'mad'; got {text!r}", field="delta") from None


def _fit_by_service(sweep: int | None, study: str | None, **options: Any) -> None:
    """Always JSON: the service's own document, with the fit's id."""
    from fitting.errors import InputError
    from sweeper.client import Client

    if (sweep is None) == (study is None):
        raise InputError("give a CSV file, or one of --sweep and --study", field="csv")
    with Client() as client:
        if study is not None:
            known = {s["name"]: s["id"] for s in client.studies()} | {str(s["id"]): s["id"] for s in client.studies()}  # fmt: skip
            if study not in known:
                raise InputError(f"no study is named {study!r}; there are {', '.join(known) or 'none'}", field="study")  # fmt: skip
            options["study_id"] = known[study]
        else:
            options["sweep_id"] = sweep
        print_json(client.fit(**options))
