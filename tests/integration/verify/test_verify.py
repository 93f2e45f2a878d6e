"""The comparison finds what differs, tells it from what is known or on its way, and has it repaired."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from harness import application, drain, execute, fetch, live, make_config, up, value

from cdc.canonical import rules
from cdc.canonical.type_limits import fits
from cdc.config import ColumnOptions, Config, TableOptions
from cdc.errors import ExitCode, UsageError
from cdc.facts.changes import Position
from cdc.facts.progress import Silent
from cdc.facts.row_key import decode_key
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetColumn
from cdc.postgres.connection.open import connect
from cdc.postgres.record.record import Record
from cdc.sqlite.changelog import source_file as sqlite
from cdc.sqlite.changelog import verify_reader
from cdc.sqlite.changelog.verify_rows import Page
from cdc.values import registry
from cdc.values.encoder import Encoder
from cdc.verify import TableReport, VerifyReport, verify
from cdc.verify import repair as repair_room

TABLES = """
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, body BLOB, done BOOLEAN, doc TEXT,
    amount DECIMAL(20,4), day DATE, at TIMESTAMP);
CREATE TABLE word(w TEXT PRIMARY KEY COLLATE NOCASE, n INTEGER);
CREATE TABLE pair(a TEXT, b INTEGER, c, PRIMARY KEY(a, b)) WITHOUT ROWID;
CREATE TABLE blobs(k BLOB PRIMARY KEY, v TEXT);
CREATE TABLE loose(x, y);
CREATE TABLE parent(id INTEGER PRIMARY KEY);
CREATE TABLE child(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent(id));
WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 300)
INSERT INTO item SELECT value, 'name ' || value, value / 3.0, zeroblob(3), value % 2,
    '{"b": 1.50, "a": [1e2, "é\\u000a"]}', value + 0.25, '2024-02-29', '2024-02-29 01:02:03.5' FROM n;
INSERT INTO item(id, name) VALUES (1000, ''), (1001, NULL), (1002, 'a/b"\\' || char(1, 8, 9, 10, 127, 8232) || '😀');
INSERT INTO word VALUES ('Ab', 1), ('b', 2), ('ß', 3);
INSERT INTO pair VALUES ('x', 1, 1.5), ('x', 2, NULL), ('', -1, 'text');
INSERT INTO blobs VALUES (x'', 'empty'), (x'00ff', 'two');
INSERT INTO loose VALUES (1, 'one'), (2.5, x'0102'), ('it''s', 9e999);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (1, 1);
"""
DOC = {"item": TableOptions(columns={"doc": ColumnOptions(type="jsonb")})}


class Installation:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.dsn = config.target.dsn

    def write(self, sql: str) -> None:
        app = application(self.config.source.path)
        app.execute(sql).fetchall()
        app.close()

    async def tamper(self, sql: str) -> None:
        await execute(self.dsn, sql)

    async def verify(self, *tables: str, repair: bool = False) -> VerifyReport:
        return await verify(self.config, tables or None, repair, Silent(), lambda _: True)

    async def found(self, table: str) -> dict[str, set[Any]]:
        report = next(t for t in (await self.verify()).tables if t.table == table)
        return {kind: {decode_key(key) for key in keys} for kind, keys in report.samples.items()}


@pytest.fixture
async def site(tmp_path: Path, database: str) -> Installation:
    app = application(tmp_path / "app.db")
    app.execute(TABLES).fetchall()
    app.close()
    config = make_config(tmp_path, tmp_path / "app.db", database, tables=DOC)
    await up(config)
    return Installation(config)


def by_name(report: VerifyReport) -> dict[str, TableReport]:
    return {t.table: t for t in report.tables}


async def test_what_was_just_copied_is_equal(site: Installation) -> None:
    report = await site.verify()
    assert (report.result, report.exit_code, report.problems) == ("equal", ExitCode.OK, ())
    assert {t.table: t.matched for t in report.tables} == {
        "item": 303,
        "word": 3,
        "pair": 3,
        "blobs": 2,
        "loose": 3,
        "parent": 1,
        "child": 1,
    }


async def test_equal_tables_are_settled_by_their_sums_alone(site: Installation) -> None:
    counted = Counting()
    await verify(site.config, None, False, counted)
    assert counted.rows == 316


class Counting(Silent):
    rows = 0

    def advance(self, n: int) -> None:
        self.rows += n


@pytest.mark.parametrize(
    ("change", "table", "kind", "key"),
    [
        ("UPDATE item SET name = 'other' WHERE id = 7", "item", "different", (7,)),
        ("UPDATE item SET name = name || ' ' WHERE id = 7", "item", "different", (7,)),
        ("UPDATE item SET name = NULL WHERE id = 1000", "item", "different", (1000,)),
        ("UPDATE item SET name = '' WHERE id = 1001", "item", "different", (1001,)),
        ("UPDATE item SET price = 2.3333333333333339 WHERE id = 7", "item", "different", (7,)),
        ("UPDATE item SET body = '\\x000001' WHERE id = 7", "item", "different", (7,)),
        ("UPDATE item SET done = NOT done WHERE id = 7", "item", "different", (7,)),
        ("UPDATE item SET doc = jsonb_set(doc, '{b}', '1.5') WHERE id = 7", "item", "different", (7,)),
        ("UPDATE item SET doc = doc - 'a' WHERE id = 7", "item", "different", (7,)),
        ("UPDATE item SET amount = amount + 0.0001 WHERE id = 7", "item", "different", (7,)),
        ("UPDATE item SET day = day + 1 WHERE id = 7", "item", "different", (7,)),
        ("UPDATE item SET at = at + interval '1 microsecond' WHERE id = 7", "item", "different", (7,)),
        ("UPDATE item SET at = 'infinity' WHERE id = 7", "item", "different", (7,)),
        ("DELETE FROM item WHERE id = 7", "item", "missing", (7,)),
        ("INSERT INTO item(id) VALUES (5000)", "item", "extra", (5000,)),
        ("UPDATE item SET id = 5000 WHERE id = 7", "item", "extra", (5000,)),
        ("DELETE FROM word WHERE w = 'Ab'", "word", "missing", ("Ab",)),
        ("INSERT INTO word VALUES ('zz', 1)", "word", "extra", ("zz",)),
        ("UPDATE pair SET c = '1.25' WHERE b = 1", "pair", "different", ("x", 1)),
        ("DELETE FROM pair WHERE a = ''", "pair", "missing", ("", -1)),
        ("INSERT INTO blobs VALUES ('\\x01', 'new')", "blobs", "extra", (b"\x01",)),
        ("UPDATE loose SET y = '''One''' WHERE x = '1'", "loose", "different", (1,)),
    ],
)
async def test_tampering_is_found_and_repaired(
    site: Installation, change: str, table: str, kind: str, key: tuple[Any, ...]
) -> None:
    await site.tamper(change)
    assert key in (await site.found(table))[kind]
    report = await site.verify(repair=True)
    assert (report.result, report.exit_code, report.repaired) == ("different", ExitCode.DIFFERENCE, report.differences)
    await drain(site.config)
    assert (await site.verify()).result == "equal"


async def test_a_swapped_pair_of_values_is_found(site: Installation) -> None:
    await site.tamper("UPDATE item SET name = CASE id WHEN 7 THEN 'name 8' ELSE 'name 7' END WHERE id IN (7, 8)")
    assert await site.found("item") == {"different": {(7,), (8,)}}


async def test_what_differs_is_told_by_column_and_both_values_when_they_are_asked_for(site: Installation) -> None:
    site.write("UPDATE item SET name = 'it''s' WHERE id = 8")
    await drain(site.config)
    await site.tamper("UPDATE item SET name = NULL, price = 7.5 WHERE id = 8; UPDATE word SET n = 9 WHERE w = 'b'")
    report = by_name(await site.verify())
    assert [(d.column, d.source, d.target) for d in report["item"].columns["i8"]] == [
        ("name", "it's", None),
        ("price", 8 / 3.0, "7.5"),
    ]
    assert report["item"].to_json()["columns"] == {"8": ["name", "price"]}
    assert report["item"].to_json(values=True)["columns"]["8"][0] == {
        "column": "name",
        "source": "'it''s'",
        "target": None,
    }
    assert report["word"].to_json(values=True)["columns"] == {"'b'": [{"column": "n", "source": "2", "target": "9"}]}


async def test_rows_in_quarantine_are_counted_apart(site: Installation) -> None:
    site.write("INSERT INTO item(id, done) VALUES (2000, 5); INSERT INTO child VALUES (2, 99)")
    await drain(site.config)
    report = await site.verify()
    assert report.result == "equal"
    assert {t.table: t.quarantined for t in report.tables if t.quarantined} == {"item": 1, "child": 1}


async def test_a_row_that_is_in_postgres_although_it_is_in_quarantine_is_extra(site: Installation) -> None:
    site.write("INSERT INTO item(id, done) VALUES (2000, 5)")
    await drain(site.config)
    await site.tamper("INSERT INTO item(id) VALUES (2000)")
    assert await site.found("item") == {"extra": {(2000,)}}


async def test_changes_that_no_daemon_has_applied_are_pending(site: Installation) -> None:
    site.write("UPDATE item SET name = 'new' WHERE id < 4; DELETE FROM word; INSERT INTO parent VALUES (2)")
    report = await site.verify()
    assert (report.result, report.exit_code) == ("equal", ExitCode.OK)
    assert {t.table: t.pending for t in report.tables if t.pending} == {"item": 3, "word": 3, "parent": 1}


async def test_changes_on_their_way_hide_no_difference_elsewhere(site: Installation) -> None:
    await site.tamper("UPDATE item SET name = 'bent' WHERE id = 9")
    site.write("UPDATE item SET name = 'new' WHERE id < 4")
    assert await site.found("item") == {"different": {(9,)}}


async def test_keys_on_their_way_are_looked_at_again_once_the_daemon_has_passed_them(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live(site.config) as daemon:
        await daemon.sync()
        site.write("UPDATE item SET name = 'new' WHERE id IN (1, 2); DELETE FROM blobs; UPDATE pair SET c = 9")
        original = Record.daemon_runs

        async def apply_first(record: Record) -> bool:
            await daemon.sync()
            await site.tamper(
                "UPDATE item SET name = 'bent' WHERE id = 2; "
                "INSERT INTO blobs VALUES ('\\x', 'back') ON CONFLICT DO NOTHING"
            )
            return await original(record)

        monkeypatch.setattr(Record, "daemon_runs", apply_first)
        report = await site.verify()
    assert report.pending == 0
    samples = {t.table: t.samples for t in report.tables if t.samples}
    assert samples == {"item": {"different": ["i2"]}, "blobs": {"extra": ["b"]}}


async def test_a_broken_conversion_of_the_applier_is_found(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = registry.encoder_of_type

    def six_digits(found: object) -> float:
        assert isinstance(found, float)
        return float(f"{found:.6g}")

    def bent(column: TargetColumn, *, literal: bool = False) -> Encoder | None:
        encoder = whole(column, literal=literal)
        if encoder is None or column.base != "float8":
            return encoder
        return Encoder(encoder.takes, lambda _values, _kinds: None, six_digits)

    monkeypatch.setattr("cdc.values.column_rules.encoder_of_type", bent)
    site.write("UPDATE item SET price = 0.123456789 WHERE id = 5; UPDATE item SET price = 0.5 WHERE id = 6")
    await drain(site.config)
    assert await site.found("item") == {"different": {(5,)}}


async def test_one_table_can_be_compared_alone(site: Installation) -> None:
    await site.tamper("DELETE FROM word")
    assert (await site.verify("ITEM")).result == "equal"
    assert (await site.verify("word")).differences == 3
    with pytest.raises(UsageError, match="nosuch is not replicated"):
        await site.verify("nosuch")


async def test_a_table_that_postgres_lacks_is_critical(site: Installation) -> None:
    await site.tamper("DROP TABLE blobs; ALTER TABLE word DROP COLUMN n")
    report = await site.verify()
    assert report.exit_code == ExitCode.CRITICAL
    assert by_name(report)["blobs"].problem == "table blobs does not exist in Postgres"
    assert by_name(report)["word"].problem == "columns do not exist in Postgres: n"
    assert by_name(report)["item"].matched == 303


async def test_capture_that_is_not_whole_is_critical(site: Installation) -> None:
    trigger = await asyncio.to_thread(
        lambda: (
            application(site.config.source.path)
            .execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'word' LIMIT 1")
            .get
        )
    )
    site.write(f'DROP TRIGGER "{trigger}"')
    report = await site.verify()
    assert report.exit_code == ExitCode.CRITICAL
    assert "capture of table word is not whole" in report.problems[0]


async def test_a_comparison_is_recorded_and_the_newest_whole_one_is_told(site: Installation) -> None:
    connection = await connect(site.dsn, purpose="test")
    look = sqlite.look(site.config)
    assert look.capture is not None
    assert await Record(connection, look.capture.source_id).verifications.latest() is None
    report = await site.verify()
    await site.tamper("DELETE FROM word")
    await site.verify("word")
    found = await Record(connection, look.capture.source_id).verifications.latest()
    await connection.close()
    assert found is not None
    assert (found.result, found.matched, found.finished_at) == ("equal", 316, report.finished_at)
    assert await value(site.dsn, "SELECT count(*) FROM cdc.verification WHERE NOT complete AND missing = 3") == 1


async def test_pages_and_many_differences_keep_their_counts(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_reader, "PAGE_ROWS", 7)
    monkeypatch.setattr(repair_room, "REPAIRED_KEYS", 10)
    await site.tamper("UPDATE item SET name = 'x' WHERE id <= 50; DELETE FROM item WHERE id BETWEEN 60 AND 69")
    item = by_name(await site.verify(repair=True))["item"]
    assert (item.matched, item.different, item.missing, item.extra) == (243, 50, 10, 0)
    assert len(item.samples["different"]) == 20
    await drain(site.config)
    assert (await site.verify()).result == "equal"


async def test_texts_that_are_not_utf8_are_read(site: Installation) -> None:
    site.write("INSERT INTO item(id, name) VALUES (3000, CAST(x'ff41' AS TEXT))")
    site.write("INSERT INTO loose VALUES (CAST(x'fe' AS TEXT), 1)")
    await drain(site.config)
    report = by_name(await site.verify())
    assert (report["item"].quarantined, report["item"].differences) == (1, 0)
    assert (report["loose"].matched, report["loose"].differences) == (4, 0)


async def test_entries_pruned_too_early_begin_the_comparison_again(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = verify_reader.Reader.page
    passes: list[str] = []

    async def follow() -> None:
        async with live(site.config) as daemon:
            await daemon.sync()

    def page(reader: verify_reader.Reader, mapped: TableMap, *place: Any) -> Page:
        if not passes:
            site.write("UPDATE item SET name = 'n' WHERE id < 9")
            asyncio.run(follow())
            site.write("DELETE FROM _cdc_changelog WHERE seq < (SELECT max(seq) FROM _cdc_changelog)")
        passes.append(mapped.source.name)
        return original(reader, mapped, *place)

    monkeypatch.setattr(verify_reader.Reader, "page", page)
    assert (await site.verify()).result == "equal"
    assert passes.count("blobs") == 2


async def test_a_table_dropped_while_it_is_compared_begins_the_comparison_again(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = verify_reader.Reader.page
    passes: list[str] = []

    async def follow() -> None:
        async with live(site.config) as daemon:
            await daemon.sync()

    def page(reader: verify_reader.Reader, mapped: TableMap, *place: Any) -> Page:
        if not passes:
            site.write("DROP TABLE loose")
            asyncio.run(follow())
        passes.append(mapped.source.name)
        return original(reader, mapped, *place)

    monkeypatch.setattr(verify_reader.Reader, "page", page)
    report = await site.verify()
    assert (report.result, report.problems) == ("equal", ())
    assert "loose" not in by_name(report)
    assert passes.count("blobs") == 2


def test_row_texts_are_those_of_postgres_for_every_character() -> None:
    texts = "".join(map(chr, range(1, 0x300))) + "\u2028\ufeff\uffff😀"
    assert msgspec.json.decode(rules.key_text([texts, None])) == [texts, None]


async def test_postgres_writes_the_same_text_for_every_character(database: str) -> None:
    texts = [chr(n) for n in (*range(1, 0x300), 0x2028, 0xFEFF, 0xFFFF, 0x1F600)]
    rows = await fetch(
        database, "SELECT array_to_json(ARRAY[t, NULL]::text[])::text FROM unnest($1::text[]) AS t", texts
    )
    assert [row[0] for row in rows] == [rules.key_text([t, None]) for t in texts]


@pytest.mark.parametrize(
    "document",
    [
        '{"bb": 1, "a": 2, "é": 3, "aa": {"x": [], "": {}}}',
        "[0, -0, -0.0, 0.00, 1e2, 1.50e1, 1.5E3, 1e-5, 0e5, -12.340, 123456789012345678901234567890]",
        '["\\u00e9", "\\ud83d\\ude00", "a\\/b", "\\b\\f\\n\\r\\t\\u0001\\"\\\\", "\u007f\u2028"]',
        "true",
        "null",
        ' "text" ',
        "[1, [2, [3, {}]]]",
        pytest.param("[" * 500 + "]" * 500, id="deep arrays"),
        pytest.param('{"a": ' * 500 + "1" + "}" * 500, id="deep objects"),
        pytest.param('{"a": [' * 250 + "1" + "]}" * 250, id="both"),
    ],
)
async def test_json_documents_read_as_in_postgres(database: str, document: str) -> None:
    column = TargetColumn("c", "jsonb", "jsonb")
    form = rules.form_of(column)
    assert fits(document, column)
    assert form(document) == await value(database, "SELECT ($1::text)::jsonb::text", document)


def test_a_position_stands_for_one_file_only(site: Installation) -> None:
    look = sqlite.look(site.config)
    with pytest.raises(Exception, match="does not hold the entry"):
        verify_reader.Reader(site.config, look, (), Position(look.newest.seq if look.newest else 0, "other"))


# A value that the type holds, and what somebody makes of it in Postgres: as little as the type can tell.
BENT: list[tuple[str, Any, str]] = [
    ("smallint", 5, "v + 1"),
    ("integer", 5, "v + 1"),
    ("bigint", 2**53, "v + 1"),
    ("real", 0.5, "(v * 1.0000001)::real"),
    ("double precision", 0.1, "v + 2e-17"),
    ("double precision", 0.0, "'-0'::float8"),
    ("numeric", 1.5, "v + 1e-22"),
    ("numeric(6,3)", 1.5, "v + 0.001"),
    ("boolean", 1, "NOT v"),
    ("text", "a", "v || E'\\u200b'"),
    ("text", "", "NULL"),
    ("varchar(5)", "ab", "v || ' '"),
    ("char(5)", "ab", "'ac'"),
    ("citext", "a", "'A'"),
    ("bytea", b"a", "v || '\\x00'"),
    ("bytea", b"", "NULL"),
    ("json", '{"a": 1}', "'{\"a\":1}'"),
    ("jsonb", '{"a": 1.0}', "'{\"a\": 1.00}'"),
    ("date", "2024-01-01", "v + 1"),
    ("time", "12:00", "v + interval '1 microsecond'"),
    ("timestamp", "2024-01-01 00:00", "v + interval '1 microsecond'"),
    ("timestamptz", "2024-01-01 00:00Z", "v + interval '1 microsecond'"),
    ("uuid", "0b5c0e5e-0000-4000-8000-00000000000a", "'0b5c0e5e-0000-4000-8000-00000000000b'"),
    ("mood", "sad", "'glad'"),
]


async def test_a_value_bent_by_hand_is_found_in_every_type(tmp_path: Path, database: str) -> None:
    app = application(tmp_path / "app.db")
    await execute(database, "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE EXTENSION citext")
    for n, (type_, held, _) in enumerate(BENT):
        app.execute(f"CREATE TABLE t{n}(id INTEGER PRIMARY KEY, v)").fetchall()
        app.execute(f"INSERT INTO t{n} VALUES (1, ?)", (held,))
        await execute(database, f"CREATE TABLE t{n}(id bigint PRIMARY KEY, v {type_})")
    app.close()
    config = make_config(tmp_path, tmp_path / "app.db", database)
    config = msgspec.structs.replace(config, target=msgspec.structs.replace(config.target, adopt=True))
    await up(config)
    report = await verify(config, None, False, Silent())
    assert (report.result, {t.matched for t in report.tables}) == ("equal", {1})
    for n, (_, _, bent) in enumerate(BENT):
        await execute(database, f"UPDATE t{n} SET v = {bent}")
    found = by_name(await verify(config, None, False, Silent()))
    assert [BENT[n] for n in range(len(BENT)) if found[f"t{n}"].differences != 1] == []
