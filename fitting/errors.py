"""The two ways in which a question goes unanswered, and warnings; every package uses these.

`InputError`: the question is malformed (exit code 2, HTTP 422). `RefusalError`: it is well formed
and the data cannot answer it (exit code 3, HTTP 409); both change nothing. A `Note` comes with an
answer that was given all the same.
"""

from dataclasses import dataclass


class InputError(ValueError):
    """A value that cannot be meant. `field` is its path, such as `budgets.1` or `loss[3]`."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class RefusalError(Exception):
    """The data cannot answer. `code` is stable, `reasons` are sentences a person understands."""

    def __init__(self, message: str, *, code: str, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code, self.reasons = code, reasons or (message,)


@dataclass(frozen=True, slots=True)
class Note:
    """A warning: `code` is stable, for programs; `message` says what was assumed and the remedy."""

    code: str
    message: str

    def to_dict(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message}
