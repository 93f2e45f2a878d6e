"""What makes a workload wild: rows of every size, many at once, rows that vanish unseen, whole tables at any moment.

Small rows and short batches prove little. Everything here is mixed into a workload after it was drawn, by a chance of
its own, so that a seed's tame part stays what it was.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Final

from moved_entries import with_moved_entries
from schemas import VALUES, Col, Tab
from workloads import Workload

PAYLOAD: Final = '"pay load"'
# The longest payload of a statement, in characters. Up to some 1,700 a row stands in its page as it is, so that pages
# end with room for smaller rows; longer ones are compressed, or put elsewhere when they cannot be.
LONGEST: Final = (1, 60, 700, 1_700, 1_700, 2_600, 8_000)
MANY: Final = (20, 40, 60)
# A unique expression over a column whose default stands in for NULL: which row REPLACE removes is known to nobody
# before, so capture asks for the whole table to be read again.
UNSEEN: Final = (
    "CREATE TABLE unseen(id INTEGER PRIMARY KEY, word TEXT NOT NULL DEFAULT 'none', note TEXT)",
    "CREATE UNIQUE INDEX unseen_word ON unseen(hex(word))",
)
# Expressions that fail on some values; SQLite computes them for every row, or for those that the index wants.
RAISING: Final = (
    "CREATE INDEX {name} ON {table}(json_extract({column}, '$.a'))",
    "CREATE UNIQUE INDEX {name} ON {table}(json_extract({column}, '$.a')) WHERE json_valid({column})",
    "CREATE UNIQUE INDEX {name} ON {table}(abs({column})) WHERE typeof({column}) = 'integer'",
    "CREATE INDEX {name} ON {table}(json_array_length({column})) WHERE {column} LIKE '[%'",
)
FAILING: Final = ("'{\"a\": 1}'", "'{\"a\": 2}'", "'[1'", "'[1, 2]'", "'{'", "-9223372036854775808")
MARKER: Final = (
    "INSERT INTO _cdc_changelog(tid, op, at) SELECT tid, '*', julianday('now') FROM _cdc_changelog "
    "WHERE tid > 0 GROUP BY tid ORDER BY max(seq) DESC LIMIT {count}"
)


def extreme(workload: Workload, seed: int, *, portable: bool) -> Workload:
    """The workload of a seed with its extremes mixed in."""
    mixed = _Extremes(Random(f"extremes {seed} {portable}"), workload, portable=portable).mixed()
    return mixed if portable else with_moved_entries(mixed, seed)


class _Extremes:
    """Draws what is added to one workload."""

    def __init__(self, random: Random, workload: Workload, *, portable: bool) -> None:
        self._random = random
        self._workload = workload
        self._portable = portable
        self._large = [table for table in workload.tables if random.random() < 0.6]
        self._unseen = random.random() < 0.4
        self._broken = not portable and random.random() < 0.3

    def mixed(self) -> Workload:
        kinds = self._kinds()
        if not kinds:
            return self._workload
        statements = list(self._workload.statements)
        for _ in range(self._random.choice((2, 5, 12))):
            # Not behind the last two, which end what is open.
            statements.insert(self._random.randint(0, len(statements) - 2), self._random.choice(kinds)())
        return replace(self._workload, setup=list(self._setup()), statements=statements)

    def _kinds(self) -> list[Callable[[], str]]:
        large = [self._fill, self._fill, self._resize, self._resize, self._thin_out] if self._large else []
        unseen = [self._replace_unseen] * 4 if self._unseen else []
        broken = [self._break_text] if self._broken else []
        return [*large, *unseen, *broken, *([self._mark] if large or unseen else [])]

    def _setup(self) -> Iterator[str]:
        later = [sql for sql in self._workload.setup if sql.startswith("INSERT")]
        yield from (sql for sql in self._workload.setup if not sql.startswith(("INSERT", "CREATE TRIGGER")))
        yield from (f"ALTER TABLE {t.name} ADD COLUMN {PAYLOAD} TEXT" for t in self._large)
        yield from UNSEEN if self._unseen else ()
        if not self._portable and self._random.random() < 0.4:
            yield self._raising(self._random.choice(self._workload.tables))
        yield from later
        yield from (sql for sql in self._workload.setup if sql.startswith("CREATE TRIGGER"))

    def _raising(self, table: Tab) -> str:
        form = self._random.choice(RAISING)
        return form.format(name="raising", table=table.name, column=self._random.choice(table.columns).name)

    # --- statements ---

    def _fill(self) -> str:
        """Many rows at once, their payloads of many sizes."""
        table = self._random.choice(self._large)
        unique = {name for names in (table.key, *table.uniques) for name in names}
        columns = table.writable
        values = [self._numbered(c) if c.name in unique else self._value(c) for c in columns]
        names = ", ".join([*(c.name for c in columns), PAYLOAD])
        first = self._random.choice((1, 1, 30))
        return (
            f"WITH RECURSIVE n(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM n WHERE n < "
            f"{first + self._random.choice(MANY)}) INSERT OR {self._random.choice(('IGNORE', 'REPLACE'))} "
            f"INTO {table.name}({names}) SELECT {', '.join([*values, self._text('n')])} FROM n"
        )

    def _resize(self) -> str:
        table = self._random.choice(self._large)
        grown = self._text(f"length(coalesce({PAYLOAD}, ''))")
        if self._random.random() < 0.2:
            grown = f"'{self._random.randbytes(self._random.choice(LONGEST) // 2).hex()}'"
        return f"UPDATE {table.name} SET {PAYLOAD} = {grown}{self._part()}"

    def _thin_out(self) -> str:
        return f"DELETE FROM {self._random.choice(self._large).name}{self._part()}"

    def _replace_unseen(self) -> str:
        word = self._random.choice(("NULL", "NULL", "'none'", "'a'"))
        verb = self._random.choice(("INSERT OR REPLACE", "INSERT OR REPLACE", "INSERT OR IGNORE"))
        number = self._random.randint(1, 9)
        if self._random.random() < 0.3:
            return f"UPDATE OR REPLACE unseen SET word = NULL WHERE id = {number}"
        return f"{verb} INTO unseen VALUES ({number}, {word}, {self._text(str(number))})"

    def _break_text(self) -> str:
        """A text that is not UTF-8, as a key too, and so in the changelog."""
        table = self._random.choice(self._workload.tables)
        broken = f"CAST(x'{self._random.choice(('61ff', 'c3', '80'))}' AS TEXT)"
        columns = table.writable
        values = [broken if c.name in table.key and c.type != "INTEGER" else self._value(c) for c in columns]
        if broken not in values:
            values[self._random.randrange(len(values))] = broken
        names = ", ".join(c.name for c in columns)
        return f"INSERT OR REPLACE INTO {table.name}({names}) VALUES ({', '.join(values)})"

    def _mark(self) -> str:
        return MARKER.format(count=self._random.choice((1, 1, 3)))

    # --- parts ---

    def _text(self, number: str) -> str:
        most = self._random.choice(LONGEST)
        return f"printf('%.*c', ({number} * 7919 + {self._random.randint(0, 9)}) % {most}, 'x')"

    def _part(self) -> str:
        if self._random.random() < 0.2:
            return ""
        divisor = self._random.choice((2, 3, 7))
        return f" WHERE length({PAYLOAD}) % {divisor} = {self._random.randrange(divisor)}"

    def _value(self, column: Col) -> str:
        if not self._portable and not column.strict and self._random.random() < 0.2:
            return self._random.choice(FAILING)
        fitting = VALUES.get(column.type, VALUES["INTEGER"])
        return self._random.choice([v for v in fitting if v != "NULL"] if column.not_null else fitting)

    def _numbered(self, column: Col) -> str:
        texts = {"TEXT": "'k' || n", "REAL": "n + 0.5", "BLOB": "CAST('k' || n AS BLOB)"}
        return texts.get(column.type, "n")
