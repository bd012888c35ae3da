"""What can go wrong in the store, as types. `api.problems` maps them to HTTP."""


class StoreError(Exception):
    """Base of all of these, so that a caller can catch the store and nothing else."""


class NotFoundError(StoreError):
    def __init__(self, kind: str, key: object) -> None:
        super().__init__(f"there is no {kind} {key}")
        self.kind, self.key = kind, key


class ConflictError(StoreError):
    """A row is in a state from which it cannot go where it was asked to."""

    def __init__(self, kind: str, key: object, *, found: str, wanted: str) -> None:
        super().__init__(f"{kind} {key} is {found}, so it cannot become {wanted}")
        self.kind, self.key, self.found, self.wanted = kind, key, found, wanted


class FencedError(StoreError):
    """Someone else owns this now: a late writer's words do not count."""


class LeaseLostError(FencedError):
    """Another process is in charge; this one must write nothing more."""


class KeyReusedError(StoreError):
    """An Idempotency-Key came back with another body."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Idempotency-Key {key!r} was used with another body; choose a new key")
        self.key = key


class KeyInFlightError(StoreError):
    """The first request with this Idempotency-Key has not been answered yet."""

    def __init__(self, key: str) -> None:
        super().__init__(f"a request with Idempotency-Key {key!r} is in flight; try again shortly")
        self.key = key


class SchemaError(StoreError):
    """The database's schema is not this program's."""


def is_of_schema(error: Exception) -> bool:
    """Whether the database said that a table or a column is not there: it needs to be migrated."""
    said = getattr(error, "orig", None)
    known = ("no such table", "no such column", "has no column")  # SQLite has no codes for these
    coded = getattr(said, "sqlstate", "") in ("42P01", "42703")  # PostgreSQL has
    return coded or any(words in str(said) for words in known)
