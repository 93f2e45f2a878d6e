"""What the environment says: which database, where it is, and which mistakes of a port to make."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PLANTS = frozenset({"null_order", "like_case", "missing_row"})
_TRUE, _FALSE = {"1", "true", "yes"}, {"", "0", "false", "no"}


class SettingsError(Exception):
    """A variable of the environment has a value that means nothing."""


@dataclass(frozen=True)
class Settings:
    """`plants` are mistakes that a port to Postgres makes easily; they bend what Postgres answers, and nothing else.

    With `own_tables` Postgres has the tables that the application makes for itself, instead of those of SQLite.
    """

    read_from_postgres: bool = False
    database: Path = Path("ytv2_migration_day.db")
    database_url: str = ""
    plants: frozenset[str] = frozenset()
    recent: Path = Path("recent.json")
    own_tables: bool = False

    @property
    def backend_name(self) -> str:
        """`postgres` or `sqlite`."""
        return "postgres" if self.read_from_postgres else "sqlite"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """The settings that these variables name. Raises `SettingsError`: it never takes the other database instead."""
        database = Path(environment.get("YTV2_DB", cls.database))
        settings = cls(
            read_from_postgres=_switch(environment, "READ_FROM_POSTGRES"),
            database=database,
            database_url=environment.get("DATABASE_URL", ""),
            plants=frozenset(filter(None, environment.get("YTV2_PLANT", "").replace(" ", "").split(","))),
            recent=Path(environment.get("YTV2_RECENT", database.with_name("recent.json"))),
            own_tables=_switch(environment, "YTV2_OWN_TABLES"),
        )
        if unknown := settings.plants - PLANTS:
            raise SettingsError(f"YTV2_PLANT knows {', '.join(sorted(PLANTS))}, not {', '.join(sorted(unknown))}")
        if settings.read_from_postgres and not settings.database_url:
            raise SettingsError("READ_FROM_POSTGRES is set and DATABASE_URL is not")
        return settings


def _switch(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "").strip().lower()
    if value not in _TRUE | _FALSE:
        raise SettingsError(f"{name} is true or false, not {value!r}")
    return value in _TRUE
