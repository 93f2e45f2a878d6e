"""What the registry says of a type is what Postgres' own catalogue says."""

from typing import Any

from cdc.postgres.connection.open import connect
from cdc.values.registry import TYPES
from cdc.values.texts import CITEXT

# Extensions are not there in every database.
OF_POSTGRES = {base: type_ for base, type_ in TYPES.items() if type_ is not CITEXT}
ALIGNMENTS = {b"c": 1, b"s": 2, b"i": 4, b"d": 8}


async def test_every_word_for_a_type_means_that_type_to_postgres(database: str) -> None:
    connection = await connect(database, purpose="test")
    for base, type_ in OF_POSTGRES.items():
        for word in (type_.name, *type_.aliases, *type_.synonyms):
            named: Any = await connection.fetchval(
                "SELECT typname::text FROM pg_type WHERE oid = to_regtype($1::text)", word
            )
            assert named == base, word
    await connection.close()


async def test_values_of_fixed_size_have_the_size_and_alignment_of_the_catalogue(database: str) -> None:
    connection = await connect(database, purpose="test")
    rows = await connection.fetch(
        "SELECT typname::text AS base, typlen AS length, typalign AS alignment FROM pg_type "
        "WHERE typnamespace = 'pg_catalog'::regnamespace AND typname = ANY($1::text[])",
        list(OF_POSTGRES),
    )
    assert len(rows) == len(OF_POSTGRES)
    for row in rows:
        fixed = (row["length"], ALIGNMENTS[row["alignment"]]) if row["length"] > 0 else None
        assert TYPES[row["base"]].fixed == fixed, row["base"]
    await connection.close()
