"""The triggers of ours on a target table, as SQL: the fence before each write, and the outbox after it.

Both fire once a statement: the fence costs replication the reading of one setting, the outbox applications one INSERT.
They are switched on and off by ALTER TABLE instead of by a flag in some table: that waits for writers in flight, and
what the catalogue says counts at once for a transaction that goes by an older snapshot, too.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from cdc.facts.table_map import TableMap
from cdc.postgres.connection.source_lock import SIGN
from cdc.sql_names import qualified, quote, quote_literal

FENCE: Final = "cdc_fence"
# AFTER triggers by what they wait for, with the rows that a statement hands to them.
_CAPTURING: Final = {
    "insert": "REFERENCING NEW TABLE AS new_rows",
    "update": "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "REFERENCING OLD TABLE AS old_rows",
    "truncate": "",
}
OUTBOX: Final = tuple(f"cdc_outbox_{event}" for event in _CAPTURING)
# What decides how Postgres writes a value as text: the same for whoever writes a row and for whoever reads it later.
TEXT_SETTINGS: Final = {
    "datestyle": "ISO, MDY",
    "timezone": "UTC",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
_HINT: Final = "Write to the SQLite database, which the application still uses; `cdc status` says when that ends."

_BODY: Final = """
BEGIN
    IF TG_NAME = {fence} THEN
        RAISE read_only_sql_transaction USING
            MESSAGE = format('table %s is written by replication from SQLite until cutover', TG_RELID::regclass),
            HINT = {hint};
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO cdc.outbox (source_id, target, key) SELECT TG_ARGV[0], TG_ARGV[1], {key} FROM new_rows AS r;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO cdc.outbox (source_id, target, key) SELECT TG_ARGV[0], TG_ARGV[1], k.key FROM (
            SELECT {key} AS key FROM old_rows AS r UNION SELECT {key} FROM new_rows AS r
        ) AS k;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO cdc.outbox (source_id, target, key) SELECT TG_ARGV[0], TG_ARGV[1], {key} FROM old_rows AS r;
    ELSE
        INSERT INTO cdc.outbox (source_id, target) VALUES (TG_ARGV[0], TG_ARGV[1]);
    END IF;
    RETURN NULL;
END
"""


def key_texts(columns: Sequence[str], alias: str) -> str:
    """The key of a row as an array of texts, no two of which are equal but not the same."""
    texts = (f'{alias}.{quote(column)}::text COLLATE "C"' for column in columns)
    return f"ARRAY[{', '.join(texts)}]"


def body(mapped: TableMap) -> str:
    """What the function of a table does, as `pg_proc.prosrc` has it.

    A row that its key does not name, for one of its columns is NULL, asks for the whole table.
    """
    columns = ", ".join(f"r.{quote(column)}" for column in mapped.key)
    key = f"CASE WHEN num_nulls({columns}) = 0 THEN {key_texts(mapped.key, 'r')} END"
    return _BODY.format(fence=quote_literal(FENCE), hint=quote_literal(_HINT), key=key)


def comment(source_id: str) -> str:
    """By which the functions of a source are found, whatever became of their tables."""
    return f"cdc: fence and outbox of source {source_id}"


def make_function(mapped: TableMap, source_id: str) -> Iterator[str]:
    """Make the function that all triggers of a table call, or bring it up to date.

    It is the owner who writes to the outbox, so applications need no right on the schema `cdc`.
    """
    settings = {**TEXT_SETTINGS, "search_path": "pg_catalog, pg_temp"}
    # A list of names has to stay one: quoted as a whole it would be the name of one schema.
    pinned = " ".join(f"SET {name} = {value}" for name, value in settings.items())
    yield (
        f"CREATE OR REPLACE FUNCTION {_function(mapped)}() RETURNS trigger LANGUAGE plpgsql "
        f"SECURITY DEFINER {pinned} AS {quote_literal(body(mapped))}"
    )
    yield f"COMMENT ON FUNCTION {_function(mapped)}() IS {quote_literal(comment(source_id))}"


def make_triggers(mapped: TableMap, source_id: str) -> Iterator[str]:
    """Make the triggers of a table, or others in the place of those that have these names.

    Only who holds the lock of the source has its sign and passes the fence.
    """
    table = qualified(mapped.schema, mapped.target)
    sign = f"current_setting({quote_literal(SIGN)}, true) IS DISTINCT FROM {quote_literal(source_id)}"
    call = f"EXECUTE FUNCTION {_function(mapped)}({quote_literal(source_id)}, {quote_literal(mapped.target)})"
    yield (
        f"CREATE OR REPLACE TRIGGER {FENCE} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT WHEN ({sign}) {call}"
    )
    for name, (event, rows) in zip(OUTBOX, _CAPTURING.items(), strict=True):
        yield f"CREATE OR REPLACE TRIGGER {name} AFTER {event.upper()} ON {table} {rows} FOR EACH STATEMENT {call}"


def switch(mapped: TableMap, *, fence: bool | None = None, outbox: bool | None = None) -> str:
    """Turn the fence or the outbox of a table on or off; None leaves it as it is.

    What is on fires in every session, also in one whose `session_replication_role` is `replica`.
    """
    turned = {FENCE: fence} | dict.fromkeys(OUTBOX, outbox)
    actions = [
        f"{'ENABLE ALWAYS' if on else 'DISABLE'} TRIGGER {name}" for name, on in turned.items() if on is not None
    ]
    return f"ALTER TABLE {qualified(mapped.schema, mapped.target)} {', '.join(actions)}"


def _function(mapped: TableMap) -> str:
    """The name of a table's function: its own may be as long as a name can be."""
    digest = hashlib.sha256(qualified(mapped.schema, mapped.target).encode()).hexdigest()[:16]
    return qualified("cdc", f"outbox_{digest}")
