"""What the columns of a table hold, counted in one scan of a snapshot."""

import itertools
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any, Final

import apsw

from cdc.facts.profile import ColumnProfile, TableProfile, TextForms
from cdc.facts.source_schema import Column, Table
from cdc.sql_names import quote
from cdc.sqlite.connection.errors import translated
from cdc.sqlite.connection.functions import FAILURES
from cdc.sqlite.rows.exact_values import encoding
from cdc.sqlite.schema.generated_columns import disagreeing
from cdc.values.booleans import LONGEST_WORD, is_word
from cdc.values.documents import jsonb_keeps
from cdc.values.identifiers import UUIDS
from cdc.values.patterns import all_match
from cdc.values.times import WRITTEN

# SQLite allows 2,000 result columns; wide tables are read in parts.
_COLUMNS_A_SCAN: Final = 100

_BEYOND_DOUBLE: Final = 2**53
_SHOWN: Final = 40  # characters of the least and the greatest text

_BEGINS_AS_DATE_OR_TIME: Final = re.compile(rb"[0-9]{4}-[0-9]{2}-|[0-9]{2}:")
# What begins with a letter and is longer than a UUID is of no form that is counted: most texts.
_PLAIN: Final = re.compile(rb"(?!true|false|null)[A-Za-z].{36}", re.DOTALL)
# What no JSON begins with needs no reader.
_BEGINS_AS_JSON: Final = re.compile(rb"[ \t\r\n]*(?:[\[{\"0-9-]|true|false|null)")
_JSONB_FLAG: Final = 8  # of json_valid(): the blob is binary JSON, looked at as a whole
_LONGEST_DATE: Final = 60  # bytes; digits of a second may be followed by any number of zeros
_UUID_BYTES: Final = 36
_NAMES: Final = tuple(field.name for field in fields(TextForms))


def profile(connection: apsw.Connection, table: Table) -> TableProfile:
    """Counts over all rows; meant for a snapshot, because on a live file it holds one read for the whole scan.

    A column that cannot be computed counts as one that is nowhere filled. Raises `SourceError` when SQLite cannot read
    the table.
    """
    found = _profile_of(connection, table, table.columns)
    with translated(f"profiling table {table.name}"):
        other = disagreeing(connection, table)
        return replace(found, columns=tuple(replace(c, disagreeing=other.get(c.name, 0)) for c in found.columns))


def _profile_of(connection: apsw.Connection, table: Table, wanted: Sequence[Column], where: str = "") -> TableProfile:
    with translated(f"profiling table {table.name}"):
        codec = encoding(connection)
        connection.create_aggregate_function("_cdc_texts", lambda: _texts(codec), 1)
        connection.create_scalar_function("_cdc_jsonb_keeps", partial(_jsonb_keeps, codec), 1, deterministic=True)
        rows, columns = 0, list[ColumnProfile]()
        for start in range(0, len(wanted), _COLUMNS_A_SCAN):
            rows, profiles = _scan_all(connection, table, wanted[start : start + _COLUMNS_A_SCAN], where)
            columns += profiles
        return TableProfile(rows, tuple(columns))


def profile_columns(
    connection: apsw.Connection, table: Table, names: Collection[str], after: int | None, rows: int
) -> tuple[TableProfile, int | None]:
    """The same of some columns, by their names, in the next `rows` rows after a rowid, and the last rowid of these.

    That is None once there are no more. A table without rowids is looked at as a whole. What another version of SQLite
    would compute is not looked for.
    """
    columns = [column for column in table.columns if column.name in names]
    if table.rowid_alias is None:
        return _profile_of(connection, table, columns), None
    alias = quote(table.rowid_alias)
    beyond = "" if after is None else f"WHERE {alias} > {after}"
    page = f"SELECT {alias} AS place FROM {quote(table.name)} {beyond} ORDER BY {alias} LIMIT {rows}"
    with translated(f"profiling table {table.name}"):
        found, last = connection.execute(f"SELECT count(*), max(place) FROM ({page})").fetchall()[0]
    last = None if last is None else int(str(last))
    limits = [beyond.removeprefix("WHERE ")] if beyond else []
    where = " AND ".join([*limits, f"{alias} <= {last}"]) if found else "false"
    return _profile_of(connection, table, columns, f" WHERE {where}"), last if found == rows else None


def _scan_all(
    connection: apsw.Connection, table: Table, part: Sequence[Column], where: str
) -> tuple[int, list[ColumnProfile]]:
    """The counts of some columns; each by itself where one of them fails, as with a function of the application."""
    try:
        return _scan(connection, table, part, where)
    except FAILURES:
        if len(part) == 1:
            return _scan(connection, table, (), where)[0], [ColumnProfile(part[0].name)]
    scans = [_scan_all(connection, table, [column], where) for column in part]
    return scans[0][0], [profile for _, profiles in scans for profile in profiles]


def _scan(
    connection: apsw.Connection, table: Table, part: Sequence[Column], where: str
) -> tuple[int, list[ColumnProfile]]:
    by_column = [list(_expressions(column)) for column in part]
    # With NULL there always are two results: apsw would not give a row of one of them as a tuple.
    listed = ", ".join(["count(*)", "NULL", *itertools.chain.from_iterable(by_column)])
    row: tuple[Any, ...] = connection.execute(f"SELECT {listed} FROM {quote(table.name)}{where}").get
    rows, answers = int(row[0]), list(row[2:])
    profiles = []
    for column, expressions in zip(part, by_column, strict=True):
        profiles.append(_profile(column.name, rows, answers[: len(expressions)], encoding(connection)))
        del answers[: len(expressions)]
    return rows, profiles


def _expressions(column: Column) -> Iterator[str]:
    """The expressions that `_profile` reads, in its order."""
    # By bytes, whatever collation the column has: one of the application's is not known here.
    name = f"{quote(column.name)} COLLATE BINARY"
    for storage in ("integer", "real", "text", "blob"):
        yield f"count(*) FILTER (WHERE typeof({name}) = '{storage}')"
    yield f"count(*) FILTER (WHERE typeof({name}) = 'integer' AND {name} NOT IN (0, 1))"
    yield (
        f"count(*) FILTER (WHERE typeof({name}) = 'integer' "
        f"AND {name} NOT BETWEEN -{_BEYOND_DOUBLE} AND {_BEYOND_DOUBLE})"
    )
    text = f"FILTER (WHERE typeof({name}) = 'text')"
    yield f"count(*) FILTER (WHERE typeof({name}) = 'text' AND {name} GLOB '[[{{]*' AND json_valid({name}))"
    yield f"count(*) FILTER (WHERE typeof({name}) = 'text' AND NOT json_valid({name}))"
    # Of blobs that are no binary JSON json() makes no text but an error: CASE looks before.
    binary = f"CASE WHEN json_valid({name}, {_JSONB_FLAG}) THEN _cdc_jsonb_keeps(CAST(json({name}) AS BLOB)) END"
    yield f"count(*) FILTER (WHERE typeof({name}) = 'blob' AND {binary})"
    for extreme in ("min", "max"):
        yield f"{extreme}({name}) FILTER (WHERE typeof({name}) IN ('integer', 'real'))"
        # As a blob, because a text that is not UTF-8 cannot be handed over as a text.
        yield f"CAST({extreme}(substr({name}, 1, {_SHOWN})) {text} AS BLOB)"
    yield f"max(length(CAST({name} AS BLOB))) FILTER (WHERE typeof({name}) IN ('text', 'blob'))"
    yield f"_cdc_texts(CAST({name} AS BLOB)) {text}"


def _profile(name: str, rows: int, answers: Sequence[object], codec: str) -> ColumnProfile:
    integer, real, text, blob, not_boolean, big, json, not_json, binary = (int(str(n)) for n in answers[:9])
    least, first, greatest, last, longest, forms = answers[9:]
    return ColumnProfile(
        name,
        null=rows - integer - real - text - blob,
        integer=integer,
        real=real,
        text=text,
        blob=blob,
        not_boolean=not_boolean,
        big=big,
        json=json,
        not_json=not_json,
        binary_json=binary,
        least=_number(least),
        greatest=_number(greatest),
        first=_shown(first, codec),
        last=_shown(last, codec),
        longest=int(str(longest or 0)),
        forms=TextForms(*map(int, str(forms).split(","))) if forms else TextForms(),
    )


def _number(answer: object) -> int | float | None:
    return answer if isinstance(answer, int | float) else None


def _shown(answer: object, codec: str) -> str | None:
    return answer.decode(codec, "replace") if isinstance(answer, bytes) else None


def _jsonb_keeps(codec: str, document: bytes) -> bool:
    """Whether jsonb keeps all of a document, which is given as bytes because a blob may hold no real text."""
    try:
        return jsonb_keeps(document.decode(codec))
    except UnicodeDecodeError:
        return False


class _Texts:
    """An aggregate over the bytes of texts: how many there are of each form. Its answer is read by `TextForms`."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._counts = dict.fromkeys(_NAMES, 0)

    def step(self, data: bytes) -> None:
        """One text more."""
        counts = self._counts
        try:
            if self._codec != "utf-8":
                data = data.decode(self._codec).encode()
            if _PLAIN.match(data) and data.isascii() and b"\x00" not in data:
                counts["other"] += 1
                return
            if b"\x00" in data:
                counts["nul"] += 1
            form, beside = _looks(data)
            for name in beside:
                counts[name] += 1
        except UnicodeDecodeError:
            counts["invalid"] += 1
            form = "other"
        counts[form] += 1

    def final(self) -> str:
        """The counts in the order of the fields of `TextForms`."""
        return ",".join(map(str, self._counts.values()))


def _texts(codec: str) -> tuple[_Texts, Callable[..., None], Callable[[_Texts], str]]:
    return _Texts(codec), _Texts.step, _Texts.final


def _looks(data: bytes) -> tuple[str, tuple[str, ...]]:
    """The form of a text, and what it is counted as beside."""
    form = _form(data)
    if form != "other":
        return form, ()
    is_a_word = len(data) <= LONGEST_WORD and is_word(data.decode())
    is_document = _BEGINS_AS_JSON.match(data) is not None and jsonb_keeps(data.decode())
    return form, (*(("words",) if is_a_word else ()), *(("documents",) if is_document else ()))


def _form(data: bytes) -> str:
    """Which of the forms of `TextForms` a text has; a date that no calendar knows is `other`."""
    text = data.decode()
    if not data:
        return "empty"
    if len(data) == _UUID_BYTES and all_match(UUIDS, [text]):
        return "uuid"
    if len(data) <= _LONGEST_DATE and _BEGINS_AS_DATE_OR_TIME.match(data):
        for written in WRITTEN:
            if all_match(written.lines, [text]):
                try:
                    written.read([text])
                except ValueError:
                    break
                return written.form
    return "other"
