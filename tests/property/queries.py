"""Random tables, rows and views: of the kind that is translated, and a little beyond it."""

from collections.abc import Callable
from random import Random

TABLES = """
CREATE TABLE t(id INTEGER PRIMARY KEY, n INT, b BOOLEAN, s TEXT, c TEXT COLLATE NOCASE, r REAL, d DATETIME, m NUMERIC);
CREATE TABLE u(id INTEGER PRIMARY KEY, t INT, n INT, s TEXT, "Odd name" TEXT, r DOUBLE, e STRING);
"""

_COLUMNS = {
    "t": {"number": ["id", "n", "b", "N"], "real": ["r"], "text": ["s", "S", "c"], "other": ["d", "m"]},
    "u": {"number": ["id", "t", "n"], "real": ["r"], "text": ["s", '"Odd name"', "e"], "other": []},
}
_NUMBERS = ["0", "1", "-1", "7", "9223372036854775807", "TRUE"]
_REALS = ["0.5", "-1.5", "1e300", "0.1", "3"]
_TEXTS = ["''", "'a'", "'A'", "'é'", "'ß'", "'a%'", "'_'", "'it''s \\'"]
_PATTERNS = ["'a%'", "'%É%'", "'_'", "'%\\%'", "'A_c%'", "''", "'%'"]


def rows(random: Random, first: int, count: int) -> list[str]:
    """INSERT statements for both tables, their ids counted from `first`."""
    made = []
    for number in range(first, first + count):
        flag, day = random.choice(["0", "1", "NULL"]), random.choice(["NULL", _DAY, _NIGHT])
        words, real = (_words(random), _words(random)), _real(random)
        decimal = random.choice(["NULL", "5", "0.1", "-7.25"])
        t = (str(number), _integer(random), flag, *words, real, day, decimal)
        made.append(f"INSERT INTO t VALUES ({', '.join(t)})")
        parent, words, real = random.randint(1, count), (_words(random), _words(random)), _real(random)
        u = (str(number), str(parent), _integer(random), *words, real, _words(random))
        made.append(f"INSERT INTO u VALUES ({', '.join(u)})")
    return made


_DAY, _NIGHT = "'2024-02-29 12:00:00'", "'1969-12-31 23:59:59.5'"


def _integer(random: Random) -> str:
    return random.choice(["NULL", "0", "1", "-1", "7", str(2**63 - 1), "-9223372036854775807", str(2**53 + 1)])


def _real(random: Random) -> str:
    return random.choice(["NULL", "0.0", "0.5", "-1.5", "0.1", "1e300", "9e999", "-9e999", "5e-324", "3.0"])


def _words(random: Random) -> str:
    alphabet = "aAbZ éÉßİ☃_%\\𝄞"
    if random.random() < 0.3:
        return random.choice(["NULL", "''", "'a'", "'A'", "'abc'"])
    return "'" + "".join(random.choice(alphabet) for _ in range(random.randint(1, 4))) + "'"


class Views:
    """Writes views, each over tables and the views written before."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._views: dict[str, list[str]] = {}

    def view(self, number: int) -> str:
        """One CREATE VIEW; SQLite may refuse it."""
        name = f"V{number}"
        query, width = self._compound() if self._random.random() < 0.2 else self._select()
        names = [f"c{n}" for n in range(width)]
        self._views[name] = names
        return f"CREATE VIEW {name}({', '.join(names)}) AS {query}"

    def forget(self, number: int) -> None:
        """Nobody reads a view that SQLite refused."""
        self._views.pop(f"V{number}", None)

    def _compound(self) -> tuple[str, int]:
        kinds = self._random.choices(["number", "real", "text"], k=self._random.randint(1, 3))
        parts = [self._one_select(kinds) for _ in range(self._random.randint(2, 3))]
        order = self._random.choice(["", " ORDER BY 1", f" ORDER BY {len(kinds)} DESC, 1"])
        return " UNION ALL ".join(parts) + order, len(kinds)

    def _one_select(self, kinds: list[str]) -> str:
        names = self._tables()
        outputs = ", ".join(self._expression(kind, names, 1) for kind in kinds)
        return f"SELECT {outputs} FROM {self._from(names)}{self._where(names)}"

    def _select(self) -> tuple[str, int]:
        if self._views and self._random.random() < 0.2:
            return self._over_view()
        kind = self._random.choice(["plain", "plain", "grouped", "distinct", "aggregate"])
        names = self._tables()
        tail = f" FROM {self._from(names)}{self._where(names)}"
        if kind == "aggregate":
            outputs = [self._aggregate(names) for _ in range(self._random.randint(1, 3))]
            return f"SELECT {', '.join(outputs)}{tail}", len(outputs)
        keys = [self._expression(self._kind(), names, 1) for _ in range(self._random.randint(1, 3))]
        if kind == "grouped":
            outputs = [*keys, self._aggregate(names)]
            return f"SELECT {', '.join(outputs)}{tail} GROUP BY {', '.join(keys)}{self._order(outputs)}", len(outputs)
        if kind == "plain" and self._random.random() < 0.5:
            keys.append(self._pick("other", names))
        word = "DISTINCT " if kind == "distinct" else ""
        return f"SELECT {word}{', '.join(keys)}{tail}{self._order(keys)}", len(keys)

    def _over_view(self) -> tuple[str, int]:
        name = self._random.choice(list(self._views))
        columns = self._random.sample(self._views[name], self._random.randint(1, len(self._views[name])))
        word = self._random.choice(["", "DISTINCT "])
        where = self._random.choice(["", f" WHERE {columns[0]} IS NOT NULL", f" WHERE {name}.{columns[-1]} IS NULL"])
        return f"SELECT {word}{', '.join(columns)} FROM {name.lower()}{where}{self._order(columns)}", len(columns)

    def _order(self, outputs: list[str]) -> str:
        if self._random.random() < 0.6:
            return ""
        words = self._random.choice(["", " DESC", " ASC NULLS LAST", " DESC NULLS FIRST"])
        return f" ORDER BY {self._random.choice([str(len(outputs)), outputs[0]])}{words}"

    def _tables(self) -> dict[str, str]:
        """Alias by alias the table that it stands for."""
        return self._random.choice([{"t": "t"}, {"u": "u"}, {"x": "t"}, {"t": "t", "u": "u"}, {"a": "u", "b": "t"}])

    def _from(self, names: dict[str, str]) -> str:
        (first, table), *rest = names.items()
        text = table if first == table else f"{table} AS {first}"
        for alias, other in rest:
            join = self._random.choice(["JOIN", "LEFT JOIN", "INNER JOIN", "left outer join"])
            text += f" {join} {other} {alias if alias != other else ''} ON {self._condition(names, 1)}"
        return text

    def _where(self, names: dict[str, str]) -> str:
        return f" WHERE {self._condition(names, 2)}" if self._random.random() < 0.5 else ""

    def _kind(self) -> str:
        return self._random.choice(["number", "real", "text"])

    def _pick(self, kind: str, names: dict[str, str]) -> str:
        found = [f"{alias}.{column}" for alias, table in names.items() for column in _COLUMNS[table][kind]]
        return self._random.choice(found or ["1"])

    def _aggregate(self, names: dict[str, str]) -> str:
        column = self._expression(self._random.choice(["number", "number", "text", "real"]), names, 0)
        forms = ["count(*)", "count({0})", "count(DISTINCT {0})", "sum({0})", "min({0})", "max({0})"]
        return self._random.choice(forms).format(column)

    def _expression(self, kind: str, names: dict[str, str], depth: int) -> str:

        def one(wanted: str = kind) -> str:
            return self._expression(wanted, names, depth - 1)

        if depth <= 0 or self._random.random() < 0.5:
            constants = {"number": _NUMBERS, "real": _REALS, "text": _TEXTS}[kind]
            return self._pick(kind, names) if self._random.random() < 0.85 else self._random.choice(constants)
        forms: list[Callable[[], str]] = [
            lambda: f"coalesce({one()}, {one()})",
            lambda: f"ifnull({one()}, {one()})",
            lambda: f"CASE WHEN {self._condition(names, depth - 1)} THEN {one()} ELSE {one()} END",
            lambda: f"CASE {one('text')} WHEN {one('text')} THEN {one()} END",
            lambda: f"iif({self._condition(names, depth - 1)}, {one()}, {one()})",
        ]
        if kind == "text":
            forms += [lambda: f"upper({one()})", lambda: f"({one()} || {one()})", lambda: f"substr({one()}, 2, 2)"]
            forms += [lambda: f"trim({one()})", lambda: f"lower({one()})"]
        if kind == "number":
            forms += [lambda: f"length({one('text')})", lambda: f"({self._condition(names, depth - 1)})"]
            forms += [lambda: f"{one()} + 1"]
        return self._random.choice(forms)()

    def _condition(self, names: dict[str, str], depth: int) -> str:
        kind = self._kind()

        def one() -> str:
            return self._expression(kind, names, depth - 1)

        def inner() -> str:
            return self._condition(names, depth - 1)

        forms: list[Callable[[], str]] = [
            lambda: f"{one()} {self._random.choice(['=', '<', '>=', '<>', '=='])} {one()}",
            lambda: f"{one()} IS {self._random.choice(['', 'NOT '])}NULL",
            lambda: f"{one()} IN ({one()}, {one()})",
            lambda: f"{one()} BETWEEN {one()} AND {one()}",
            lambda: f"{self._expression('text', names, 0)} LIKE {self._random.choice(_PATTERNS)}",
            lambda: f"{self._expression('text', names, 0)} NOT LIKE {self._expression('text', names, 0)}",
            lambda: self._expression("number", names, 0),
        ]
        if depth > 0:
            forms += [lambda: f"({inner()} AND {inner()})", lambda: f"({inner()} OR NOT {inner()})"]
        return self._random.choice(forms)()
