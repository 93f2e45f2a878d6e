"""What SQLite's PRAGMAs do not tell, read from the CREATE text: checks, generated columns, index expressions.

SQLite keeps the text as the application wrote it, and has parsed it before, so only quotes, comments, parentheses
and a few words matter here.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_TOKEN: Final = re.compile(
    r"""
      (?P<skip> \s+ | --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<blob> [xX]'[^']*' )
    | (?P<text> '(?:[^']|'')*' )
    | (?P<quoted> "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] )
    | (?P<number> (?:\d|\.\d)[\w.]*(?:(?<=[eE])[+-]\d+)? )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<punct> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_EVENTS: Final = frozenset(["INSERT", "UPDATE", "DELETE"])
_TABLE_CONSTRAINTS: Final = frozenset(["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"])


@dataclass(frozen=True, slots=True)
class Token:
    """One token and where it stands; `kind` is word, quoted, text, blob, number or punct."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The token in upper case when it is a bare word or a sign, else nothing: quoted words are no keywords."""
        return self.text.upper() if self.kind in {"word", "punct"} else ""

    @property
    def name(self) -> str | None:
        """The identifier that the token can be, without its quotes."""
        if self.kind == "word":
            return self.text
        # SQLite takes a text for a name where no text may stand (https://www.sqlite.org/lang_keywords.html).
        if self.kind in {"quoted", "text"}:
            quote = self.text[-1]
            return self.text[1:-1].replace(quote * 2, quote)
        return None


@dataclass(frozen=True, slots=True)
class TableText:
    """What the CREATE TABLE text adds: CHECK expressions in order, and generated expressions by lower-case column.

    `deferred` says of each foreign key, in order, whether it is checked when a transaction ends.
    """

    checks: tuple[str, ...]
    generated: dict[str, str]
    deferred: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class IndexText:
    """What the CREATE INDEX text adds: each term's expression in order, and the predicate of a partial index."""

    terms: tuple[str, ...]
    predicate: str | None


def tokens(sql: str) -> tuple[Token, ...]:
    """The tokens of SQL text without blanks and comments."""
    return tuple(
        Token(match.lastgroup, match[0], match.start(), match.end())
        for match in _TOKEN.finditer(sql)
        if match.lastgroup and match.lastgroup != "skip"
    )


def names(sql: str) -> frozenset[str]:
    """Every word of the text that could name a column, in lower case."""
    return frozenset(t.name.lower() for t in tokens(sql) if t.kind in {"word", "quoted"} and t.name is not None)


def calls_function(sql: str) -> bool:
    """Whether the text holds a name directly followed by an opening parenthesis."""
    return any(a.kind in {"word", "quoted"} and b.text == "(" for a, b in pairwise(tokens(sql)))


def table_text(sql: str) -> TableText:
    """The checks and generated expressions in a CREATE TABLE text; empty for other texts."""
    checks: list[str] = []
    generated: dict[str, str] = {}
    deferred: list[bool] = []
    for part in _definitions(sql):
        table_constraint = part[0].kind == "word" and part[0].word in _TABLE_CONSTRAINTS
        deferred += _deferred(part)
        for at, token in _top_level(part):
            following = part[at + 1].text if at + 1 < len(part) else ""
            if following != "(":
                continue
            if token.word == "CHECK":
                checks.append(_inside(sql, part, at + 1))
            elif token.word == "AS" and not table_constraint:
                generated[(part[0].name or "").lower()] = _inside(sql, part, at + 1)
    return TableText(tuple(checks), generated, tuple(deferred))


def index_text(sql: str) -> IndexText:
    """The terms and the predicate in a CREATE INDEX text."""
    parsed = tokens(sql)
    opening = next(i for i, t in enumerate(parsed) if t.text == "(")
    end = closing(parsed, opening)
    terms = tuple(_term(sql, part) for part in split(parsed[opening + 1 : end]))
    rest = parsed[end + 1 :]
    predicate = sql[rest[0].end : rest[-1].end].strip() if len(rest) > 1 and rest[0].word == "WHERE" else None
    return IndexText(terms, predicate)


def module_of(sql: str) -> str:
    """The module of a CREATE VIRTUAL TABLE text in lower case; empty for other texts."""
    parsed = tokens(sql)
    if [token.word for token in parsed[:3]] != ["CREATE", "VIRTUAL", "TABLE"]:
        return ""
    return next(((b.name or "").lower() for a, b in pairwise(parsed) if a.word == "USING"), "")


def runs_before(sql: str) -> str:
    """The event before which a trigger runs, by its CREATE TRIGGER text, such as INSERT; empty when it runs after."""
    words = [token.word for token in tokens(sql)]
    at = next((n for n, word in enumerate(words) if word in _EVENTS), None)
    return words[at] if at is not None and words[at - 1] != "AFTER" else ""


def _definitions(sql: str) -> Iterator[Sequence[Token]]:
    """The column definitions and table constraints between the outermost parentheses."""
    parsed = tokens(sql)
    opening = next((i for i, t in enumerate(parsed) if t.text == "("), None)
    if opening is None:
        return
    # Commas between table constraints may be left out, which does not matter: each is found by its own word.
    yield from (part for part in split(parsed[opening + 1 : closing(parsed, opening)]) if part)


def _deferred(part: Sequence[Token]) -> Iterator[bool]:
    words = [token.word for _, token in _top_level(part)]
    places = [at for at, word in enumerate(words) if word == "REFERENCES"]
    for first, end in pairwise([*places, len(words)]):
        clause = " ".join(words[first:end])
        yield "DEFERRABLE INITIALLY DEFERRED" in clause and "NOT DEFERRABLE" not in clause


def _term(sql: str, part: Sequence[Token]) -> str:
    """An index term without its trailing COLLATE name and ASC or DESC."""
    end = len(part)
    if end > 1 and part[end - 1].word in {"ASC", "DESC"}:
        end -= 1
    # COLLATE binds tighter than any operator: behind `a = b` it belongs to b, and only a lone operand ends before it.
    while end > 2 and part[end - 2].word == "COLLATE" and _is_operand(part[: end - 2]):
        end -= 2
    return sql[part[0].start : part[end - 1].end]


def _is_operand(part: Sequence[Token]) -> bool:
    """Whether the tokens are one name or literal, one call, or one parenthesis, each perhaps with COLLATE."""
    while len(part) > 2 and part[-2].word == "COLLATE":
        part = part[:-2]
    opening = 0 if part[0].text == "(" else 1
    return len(part) == 1 or (part[opening].text == "(" and closing(part, opening) == len(part) - 1)


def _top_level(part: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    depth = 0
    for at, token in enumerate(part):
        if token.text == "(":
            depth += 1
        elif token.text == ")":
            depth -= 1
        elif depth == 0:
            yield at, token


def split(part: Sequence[Token]) -> list[Sequence[Token]]:
    """The tokens between the commas that no parenthesis encloses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in part:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return list(parts)


def closing(part: Sequence[Token], opening: int) -> int:
    """The place of the parenthesis that closes the one at `opening`; behind the last token where none does."""
    depth = 0
    for at in range(opening, len(part)):
        depth += {"(": 1, ")": -1}.get(part[at].text, 0)
        if depth == 0:
            return at
    return len(part)


def _inside(sql: str, part: Sequence[Token], opening: int) -> str:
    """The text between a parenthesis and its partner, without a comment at its end that would swallow what follows."""
    inner = part[opening + 1 : closing(part, opening)]
    return sql[inner[0].start : inner[-1].end] if inner else ""
