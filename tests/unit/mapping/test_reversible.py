"""Which mappings can be reversed is told from the mapping alone."""

import apsw
import pytest

from cdc.config import decode_config
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable, TargetUnique
from cdc.mapping.map_tables import map_schema
from cdc.mapping.reversible import WayBack, cannot_go_back, carried_back, computed, way_back
from cdc.sqlite.schema.read import read_schema

TABLE = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT NOT NULL, doc TEXT, at TEXT, twice AS (name || name))"


def mapped(sql: str, **options: object) -> TableMap:
    db = apsw.Connection(":memory:")
    db.execute(sql)
    config = decode_config({"source": {"path": "a.db"}, "target": {"dsn": "x"}, "tables": {"t": options}})
    (found,) = map_schema(read_schema(db, config), config)
    return found


def told(sql: str, **options: object) -> WayBack:
    return way_back(mapped(sql, **options))


def test_plain_columns_come_back_as_they_were() -> None:
    assert told(TABLE) == WayBack("exact", ())
    assert told("CREATE TABLE t(a, b BLOB, c REAL, d BOOLEAN)") == WayBack("exact", ()), "keyed by rowid"


@pytest.mark.parametrize("chosen", [{"type": "jsonb"}, {"type": "timestamp"}, {"format": "uuid"}])
def test_what_is_kept_by_its_meaning_comes_back_in_another_form(chosen: dict[str, str]) -> None:
    assert told(TABLE, columns={"doc": chosen}) == WayBack("equal", ("written in another form of the same value: doc",))


def test_what_is_computed_or_altered_or_left_out_does_not_come_back() -> None:
    found = told(
        TABLE,
        skip=["at"],
        columns={
            "upper": {"expression": "upper(name)"},
            "name": {"on_invalid": "replace"},
            "doc": {"expression": "json(doc)"},
        },
    )
    assert found == WayBack(
        "partly",
        (
            "computed, so that a change there has nowhere to go: doc, upper",
            "altered where values do not fit, and stays as altered: name",
            "not carried, so that rows made in Postgres get SQLite's default: doc, at",
        ),
    )


def test_what_must_be_alike_on_the_way_back_is_what_can_be_carried() -> None:
    found = mapped(TABLE, columns={"upper": {"expression": "upper(name)"}, "doc": {"type": "jsonb"}})
    assert computed(found) == ("upper",)
    assert carried_back(found).target_columns == ("id", "name", "doc", "at", "twice")
    rowid = mapped("CREATE TABLE t(a, b)")
    assert carried_back(rowid) == rowid
    assert not computed(rowid)


def test_rows_that_sqlite_would_refuse_are_told() -> None:
    found = told(TABLE, skip=["name"])
    assert found.reasons[-1] == "rows made in Postgres cannot be written, for nothing gives them name"
    keyed = "CREATE TABLE t(code TEXT PRIMARY KEY, v)"
    uid = {"uid": {"expression": "lower(code)"}}
    assert told(keyed, columns={"code": {"target": "key"}}) == WayBack("exact", ())
    assert "code" in told(keyed, target_key=["uid"], skip=["code"], columns=uid).reasons[-1]


def test_no_row_goes_back_to_a_table_that_cannot_say_which_row_it_is() -> None:
    keyed = "CREATE TABLE t(code TEXT PRIMARY KEY, v)"

    def why(found: TableMap, *unique: str) -> tuple[str, ...]:
        return cannot_go_back(found, TargetTable("public", "t", (), (TargetUnique("u", unique),)))

    plain = mapped(keyed)
    assert why(plain, "code") == why(mapped("CREATE TABLE t(a, b)"), "_cdc_rowid") == ()
    assert why(plain, "v") == ("Postgres may have two rows of one key, for nothing there keeps code unique",)
    elsewhere = mapped(keyed, target_key=["uid"], columns={"uid": {"expression": "lower(code)"}})
    assert why(elsewhere) == ("its key in Postgres does not say which row of SQLite a new one is",)
    assert way_back(elsewhere).reasons[0] == why(elsewhere)[0]
