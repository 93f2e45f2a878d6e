"""The clock of SQLite's date functions (https://www.sqlite.org/lang_datefunc.html) as that of Postgres.

Both speak UTC to the millisecond, and both stand still within a statement: `statement_timestamp()` here. A time that
a default asks for is known by what SQLite would store: a text of some form, or a number that counts.
"""

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from cdc.facts.table_map import ColumnMap
from cdc.sql_names import quote_literal
from cdc.values.numbers import BIGINT, DOUBLE, INTEGER, NUMERIC
from cdc.values.texts import TEXT
from cdc.values.times import DATE, TIME, TIMESTAMP, TIMESTAMPTZ

_STATEMENT: Final = "statement_timestamp()"
_UTC: Final = f"{_STATEMENT} AT TIME ZONE 'UTC'"


@dataclass(frozen=True, slots=True)
class WrittenClock:
    """A text: its template for to_char(), and the form of it, in which letters stand for no template."""

    template: str
    form: str


@dataclass(frozen=True, slots=True)
class CountedClock:
    """A number: seconds or milliseconds since 1970, or julian days; `to` is the finest part of a second that it has.

    A `whole` one is an integer in SQLite, or a text that the column's affinity makes an integer of.
    """

    unit: Literal["s", "ms", "day"]
    to: Literal["second", "milliseconds"]
    whole: bool


Now = WrittenClock | CountedClock

_DATE, _TIME, _FINE_TIME = "%Y-%m-%d", "%H:%M:%S", "%H:%M:%f"
_NAMES: Final = {
    "CURRENT_TIMESTAMP": f"{_DATE} {_TIME}",
    "CURRENT_DATE": _DATE,
    "CURRENT_TIME": _TIME,
}
_FORMATS: Final = {
    "datetime": (f"{_DATE} {_TIME}", f"{_DATE} {_FINE_TIME}"),
    "date": (_DATE, _DATE),
    "time": (_TIME, _FINE_TIME),
}
_PARTS: Final = {
    "Y": "YYYY",
    "m": "MM",
    "d": "DD",
    "H": "HH24",
    "M": "MI",
    "S": "SS",
    "f": "SS.MS",
    "j": "DDD",
    "F": "YYYY-MM-DD",
    "T": "HH24:MI:SS",
    "R": "HH24:MI",
}
_PART: Final = re.compile("%(.)|([^%]+)", re.DOTALL)
_PLAIN: Final = re.compile("[ :./-]+")  # what to_char() leaves as it is without quotes
_SECONDS: Final = "%s"

_CALL: Final = re.compile(r"(\w+)\s*\((.*)\)", re.DOTALL)
_ARGUMENTS: Final = re.compile(r"\s*'([^']*)'\s*(?:,|$)")
_CAST: Final = re.compile(r"cast\s*\((.+)\s+as\s+(?:big)?int(?:eger)?\s*\)", re.IGNORECASE | re.DOTALL)
_THOUSAND: Final = re.compile(r"(.+?)\s*\*\s*1000(?:\.0*)?", re.DOTALL)
# The way to count milliseconds, or seconds, that SQLite had before unixepoch().
_FROM_JULIAN: Final = re.compile(r"\(julianday\('now'\)-2440587\.5\)\*86400(?P<ms>000)?(?:\.0*)?", re.IGNORECASE)
_LOCAL: Final = re.compile("'localtime'", re.IGNORECASE)


def is_local(sql: str) -> bool:
    """Whether an expression asks for the time zone of whoever evaluates it, which another machine may not share."""
    return _LOCAL.search(sql) is not None


def read_now(text: str) -> Now | None:
    """What an expression of SQLite gives that asks for the time of now; None where it does not, or more than that."""
    text = bare(text)
    if form := _NAMES.get(text.upper()):
        return _written(form)
    if julian := _FROM_JULIAN.fullmatch("".join(text.split())):
        return CountedClock("ms" if julian["ms"] else "s", "milliseconds", whole=False)
    if (cast := _CAST.fullmatch(text)) and isinstance(inner := read_now(cast[1]), CountedClock):
        return replace(inner, to="milliseconds" if inner.unit == "ms" else "second", whole=True)
    if (product := _THOUSAND.fullmatch(text)) and isinstance(inner := read_now(product[1]), CountedClock):
        # A fraction of three digits times a thousand is a whole number again, which a column of integers makes of it.
        whole = inner.whole or inner.to == "milliseconds"
        return replace(inner, unit="ms", whole=whole) if inner.unit == "s" else None
    call = _CALL.fullmatch(text)
    return _called(call[1].lower(), _texts(call[2])) if call else None


def bare(sql: str) -> str:
    """An expression without the parentheses around all of it."""
    text = sql.strip()
    while text.startswith("(") and text.endswith(")") and _closes_last(text):
        text = text[1:-1].strip()
    return text


def _closes_last(text: str) -> bool:
    """Whether the first parenthesis is closed by the last character; one inside a string only makes us give up."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return place == len(text) - 1
    return False


def _texts(arguments: str) -> list[str] | None:
    """The arguments of a call where all of them are texts."""
    found: list[str] = []
    place = 0
    while arguments[place:].strip():
        argument = _ARGUMENTS.match(arguments, place)
        if argument is None:
            return None
        found.append(argument[1])
        place = argument.end()
    return found


def _called(function: str, arguments: list[str] | None) -> Now | None:
    """What a function gives for such arguments; None for any other function, time or modifier."""
    if arguments is None:
        return None
    if function == "strftime":
        form = arguments[0] if arguments else ""
        plain = [a.lower() for a in arguments[1:]] in ([], ["now"])
        return _written(form) if plain else None
    times = [a.lower() for a in arguments]
    subsecond = times and times[-1] in ("subsec", "subsecond")
    if times[: -1 if subsecond else None] not in ([], ["now"]):
        return None
    if function == "unixepoch":
        return CountedClock("s", "milliseconds" if subsecond else "second", whole=not subsecond)
    if function == "julianday":
        return CountedClock("day", "milliseconds", whole=False)
    return _written(_FORMATS[function][bool(subsecond)]) if function in _FORMATS else None


def _written(form: str) -> Now | None:
    if form == _SECONDS:
        return CountedClock("s", "second", whole=True)
    template = shown = ""
    for letter, plain in _PART.findall(form):
        if plain:
            template += plain if _PLAIN.fullmatch(plain) else '"' + re.sub(r'(["\\])', r"\\\1", plain) + '"'
            shown += plain.lower() if plain not in ("T", "Z") else f"<{plain}>"
        elif part := _PARTS.get(letter):
            template += part
            shown += part
        else:
            return None
    return WrittenClock(template, shown)


# --- in Postgres ------------------------------------------------------------------------------------------------------

_MOMENT: Final = re.compile(r"YYYY-MM-DD(?: |<T>)HH24:MI(?P<second>:SS(?P<fine>\.MS)?)?(?:<Z>|\+00:00)?")
_CLOCK: Final = re.compile(r"HH24:MI(?P<second>:SS(?P<fine>\.MS)?)?")
_COUNTS: Final = {"epoch s": "s", "epoch ms": "ms", "julian day": "day"}  # the formats of columns that read them


def now_in_postgres(now: Now, column: ColumnMap) -> str | None:
    """The same time for a column, in the form that its type gives it; None where the type does not hold such values."""
    return _counted_sql(now, column) if isinstance(now, CountedClock) else _written_sql(now, column.type)


def _written_sql(now: WrittenClock, type_: str) -> str | None:
    if type_ == TEXT.name:
        return f"to_char({_UTC}, {quote_literal(now.template)})"
    if type_ == DATE.name:
        return f"({_UTC})::date" if now.form == "YYYY-MM-DD" else None
    form = (_CLOCK if type_ == TIME.name else _MOMENT).fullmatch(now.form)
    if form is None:
        return None
    to = "milliseconds" if form["fine"] else "second" if form["second"] else "minute"
    return {
        TIMESTAMP.name: f"date_trunc('{to}', {_UTC})",
        TIMESTAMPTZ.name: f"date_trunc('{to}', {_STATEMENT})",
        TIME.name: f"date_trunc('{to}', {_UTC})::time",
    }.get(type_)


def _counted_sql(now: CountedClock, column: ColumnMap) -> str | None:
    if column.type in (TIMESTAMP.name, TIMESTAMPTZ.name):
        instant = _UTC if column.type == TIMESTAMP.name else _STATEMENT
        return f"date_trunc('{now.to}', {instant})" if _COUNTS.get(column.reading.format) == now.unit else None
    seconds = f"extract(epoch FROM date_trunc('{now.to}', {_STATEMENT}))"
    number = {"s": seconds, "ms": f"{seconds} * 1000", "day": f"{seconds} / 86400.0 + 2440587.5"}[now.unit]
    if column.type == DOUBLE.name:
        return f"({number})::double precision"
    if not now.whole:
        return None
    types = {BIGINT.name: "bigint", NUMERIC.name: "bigint", TEXT.name: "bigint::text"}
    if now.unit == "s":
        types[INTEGER.name] = "integer"
    return f"({number})::{types[column.type]}" if column.type in types else None
