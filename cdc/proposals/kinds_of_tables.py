"""Tables that an application does not need to find again on the other side: by their usual names, or what they hold.

No table that others refer to is meant: without it their rows would be orphans.
"""

import re
from collections.abc import Iterable
from typing import Final

from cdc.facts.profile import TableProfile
from cdc.facts.source_schema import Table
from cdc.facts.target_schema import TargetTable
from cdc.mapping.letter_case import folded

# What programs that change schemas keep about themselves: each database has a list of its own.
_MIGRATION_LISTS: Final = frozenset(
    (
        "__diesel_schema_migrations",
        "__drizzle_migrations",
        "__efmigrationshistory",
        "__migrations",
        "_migrations",
        "_prisma_migrations",
        "_sqlx_migrations",
        "_yoyo_log",
        "_yoyo_migration",
        "_yoyo_version",
        "aerich",
        "alembic_version",
        "applied_schema_deltas",
        "ar_internal_metadata",
        "atlas_schema_revisions",
        "databasechangelog",
        "databasechangeloglock",
        "directus_migrations",
        "django_migrations",
        "doctrine_migration_versions",
        "flyway_schema_history",
        "gopg_migrations",
        "goose_db_version",
        "gorp_migrations",
        "knex_migrations",
        "knex_migrations_lock",
        "kysely_migration",
        "kysely_migration_lock",
        "migratehistory",
        "migration_log",
        "migration_versions",
        "migrations",
        "mikro_orm_migrations",
        "phinxlog",
        "refinery_schema_history",
        "schema_compat_version",
        "schema_migrations",
        "schema_version",
        "schemaversion",
        "seaql_migrations",
        "sequelizemeta",
        "south_migrationhistory",
        "typeorm_migrations",
        "yoyo_lock",
    )
)
# Names of such lists in general; a table of the application's own data may have one like it.
_MIGRATIONS: Final = re.compile(r".*_migrations?|(.*_)?schema_(.*_)?(versions?|deltas|history)")
# Versions, names with the time at either end, and files, as migrations are called.
_MIGRATION: Final = re.compile(r"v?\d[\w./-]*|\w*\d{10,}|.*\.(sql|py|rb|php|go|[jt]s|xml|ya?ml)(\.\w+)?", re.IGNORECASE)
_SESSIONS: Final = re.compile(r"(.*_)?sessions?(_data|_store)?")
_CACHES: Final = re.compile(r"(.*_)?caches?(_.*)?")


def is_migration_list(table: str) -> bool:
    """Whether only a list of the migrations that were run on its own database is called so."""
    return table.lower() in _MIGRATION_LISTS


def is_called_like_migration_list(table: str) -> bool:
    """Whether such lists are called like that, and other tables may be."""
    return _MIGRATIONS.fullmatch(table.lower()) is not None


def names_migrations(profile: TableProfile) -> bool:
    """Whether some column has nothing but texts that begin and end, in their order, with what migrations are called."""
    return any(
        profile.rows and column.text == column.forms.other == profile.rows and _is_migration(column.first, column.last)
        for column in profile.columns
    )


def _is_migration(*texts: str | None) -> bool:
    return all(text is not None and _MIGRATION.fullmatch(text) for text in texts)


def referred_to(tables: Iterable[Table], there: Iterable[TargetTable] = ()) -> frozenset[str]:
    """The tables that foreign keys of either database refer to, without their letter case."""
    here = (key.parent for table in tables for key in table.foreign_keys)
    return frozenset(map(folded, (*here, *(key.parent for table in there for key in table.foreign_keys))))


def why_left_behind(table: str) -> str:
    """Why a person may want to leave a table of that name behind, empty for most."""
    if is_migration_list(table):
        return "a list of the migrations that were run on this file"
    if is_called_like_migration_list(table):
        return "by its name, a list of the migrations that were run on this file"
    if _SESSIONS.fullmatch(table.lower()):
        return "by its name, who is logged in; without it everybody logs in again"
    return "by its name, a cache that fills again" if _CACHES.fullmatch(table.lower()) else ""
