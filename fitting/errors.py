"""The two ways in which a question goes unanswered; every package uses these.

`InputError`: the question is malformed (exit code 2, HTTP 422). `RefusalError`: it is well formed
and the data cannot answer it (exit code 3, HTTP 409); both change nothing.
"""


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
