"""Prints what `estimate` and `budget` found."""

from typing import Any

from rich.table import Table

from fitting.costs.compare import disclosed_runs, side_by_side
from fitting.costs.estimate import Estimate
from fitting.costs.question import Answer
from fitting.costs.show import band, human, lines, threshold_line, unverified_lines
from fitting.costs.show import explain as explained
from fitting.costs.show_tables import answered, checked, compared
from fitting.costs.tables import Tables
from sweeper.cli.common import OUT, print_json


def show_comparison(tables: Tables, *, as_json: bool, published: bool) -> None:
    if published:
        rows = disclosed_runs(tables=tables)
        if as_json:
            print_json([r.to_dict() for r in rows])
            return
        _table(checked(rows))
        OUT.print(f"{sum(r.inside for r in rows)} of {len(rows)} inside the predicted band")
        return
    pair = side_by_side(tables=tables)
    if as_json:
        print_json(pair.to_dict())
        return
    _table(compared(pair))
    why = (f"Lecture to Meta: {pair.gap.sentence}.", f"Meta to ours: {pair.to_ours.sentence}.")
    OUT.print("\n".join(why), markup=False, highlight=False, soft_wrap=True)


def print_estimate(e: Estimate, served: dict[str, Any], *, explain: bool, as_json: bool) -> None:
    if as_json:
        extra = {"inference": {n: f.to_dict() for n, f in served.items()}} if served else {}
        print_json(e.to_dict() | extra)
        return
    rows = lines(e) + [
        (f"Serving: {n}", human(f.value, f.unit), band(f)) for n, f in served.items()
    ]
    _table([("", "value", "band (about P10 to P90)"), *rows])
    text = [threshold_line(c) for c in e.thresholds] + [f"note: {n.message}" for n in e.warnings]
    text += unverified_lines(e)
    text += ["", explained(e)] if explain else []
    OUT.print("\n".join(text), markup=False, highlight=False, soft_wrap=True)


def print_answer(a: Answer, *, explain: bool, as_json: bool) -> None:
    if as_json:
        print_json(a.to_dict())
        return
    head, table, notes = answered(a)
    OUT.print("\n".join(head), markup=False, highlight=False, soft_wrap=True)
    _table(table)
    OUT.print("\n".join(["", *notes, ""]), markup=False, highlight=False, soft_wrap=True)
    print_estimate(a.final, {}, explain=explain, as_json=False)


def _table(rows: list[tuple[str, ...]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows[1:]:
        table.add_row(*row)
    OUT.print(table, markup=False, highlight=False)
