"""What a report consists of, before it is HTML: sections of facts, notes, tables and figures.

Pages of the service show the same sections, so that page and report never disagree.
"""

from dataclasses import dataclass
from typing import Literal

Row = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One number worth a box of its own."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A sentence that must not be overlooked."""

    text: str
    kind: Literal["warn", "bad", "good"] = "warn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Cells are text already; columns whose head starts with `#` are numbers, set to the right."""

    heads: Row
    rows: tuple[Row, ...]
    caption: str = ""
    folded: str = ""  # shown only when asked for, under this name

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.heads):
                raise ValueError(f"a row needs {len(self.heads)} cells; got {row}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A drawing: inline SVG in a report, the address of one on a page."""

    caption: str
    svg: str = ""
    src: str = ""
    wide: bool = False  # several panels side by side

    def __post_init__(self) -> None:
        if bool(self.svg) == bool(self.src):
            raise ValueError("a figure has either svg or src")


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    title: str
    text: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    notes: tuple[Note, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    title: str
    subtitle: str
    sections: tuple[Section, ...]
    provenance: tuple[tuple[str, str], ...] = ()  # label and value, at the foot
