"""Tables that an application does not need to find again on the other side, by the names that are usual for them."""

import re
from typing import Final

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
        "ar_internal_metadata",
        "atlas_schema_revisions",
        "databasechangelog",
        "databasechangeloglock",
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
_SESSIONS: Final = re.compile(r"(.*_)?sessions?(_data|_store)?")
_CACHES: Final = re.compile(r"(.*_)?caches?(_.*)?")


def is_migration_list(table: str) -> bool:
    """Whether a table of that name is a list of the migrations that were run on its own database."""
    return table.lower() in _MIGRATION_LISTS


def why_left_behind(table: str) -> str:
    """Why a person may want to leave a table of that name behind, empty for most."""
    if is_migration_list(table):
        return "a list of the migrations that were run on this file"
    if _SESSIONS.fullmatch(table.lower()):
        return "by its name, who is logged in; without it everybody logs in again"
    return "by its name, a cache that fills again" if _CACHES.fullmatch(table.lower()) else ""
