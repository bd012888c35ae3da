"""Where this installation keeps its things: read from the environment when asked, never on import.

`ISOFLOP_HOME` is the folder of runs, corpora and the SQLite file; `ISOFLOP_DATABASE_URL` points a
team at PostgreSQL instead.
"""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

HOME_VARIABLE = "ISOFLOP_HOME"


class Settings(BaseSettings):
    """All that api and dispatcher must agree on to meet."""

    model_config = SettingsConfigDict(env_prefix="ISOFLOP_", frozen=True, extra="ignore")

    home: Path = Path("isoflop-home")
    database_url: str = Field(
        default="", repr=False
    )  # empty: SQLite in `home`; may hold a password

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @property
    def url(self) -> str:
        file = URL.create("sqlite", database=str(self.home / "isoflop.db"))  # escapes ? and %
        return self.database_url or file.render_as_string()

    @property
    def runs(self) -> Path:
        """One folder per run id: checkpoints, progress, result."""
        return self.home / "runs"

    @property
    def corpora(self) -> Path:
        """One folder per prepared corpus."""
        return self.home / "corpora"

    @property
    def service_file(self) -> Path:
        """Written by `isoflop up`: the url and process ids of the running service."""
        return self.home / "service.json"


def load_settings(home: Path | None = None) -> Settings:
    """The environment's settings; `home` wins over it."""
    return Settings() if home is None else Settings(home=home)
