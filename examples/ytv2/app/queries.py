"""The statements that read, for both databases: every order is total, and says where the unknown goes."""

from collections.abc import Sequence
from typing import Any

from .backend import Statement
from .dialect import Dialect
from .question import Question

EXCERPT_CHARACTERS = 280
PING = Statement("SELECT count(*) AS total FROM content")
# The key of a video that is named by its id, or by its id at YouTube.
KEY = "(SELECT id FROM content WHERE id = $1 OR video_id = $1 ORDER BY (id = $1) DESC, id LIMIT 1)"
COLUMNS = {
    "channel": "c.channel_name",
    "content_type": "c.content_type",
    "complexity": "c.complexity_level",
    "language": "c.language",
}
SUBJECTS = ("category", "subcategory")

_ORDERS = {
    "newest": "c.indexed_at DESC",
    "oldest": "c.indexed_at",
    "published": "nullif(c.published_at, '') DESC",
    "title": "c.title",
    "longest": "c.duration_seconds DESC",
    "views": "c.view_count DESC",
}
_REPORT = """
    c.id, c.video_id, c.title, c.channel_name, c.thumbnail_url, c.canonical_url, c.published_at, c.indexed_at,
    c.duration_seconds, c.view_count, c.like_count, c.category, c.subcategory, c.subcategories_json, c.content_type,
    c.complexity_level, c.language, c.key_topics, c.named_entities, c.has_audio, c.audio_duration_seconds,
    c.has_transcript, c.word_count, c.processing_status, s.summary_type"""
_FROM = "FROM content AS c LEFT JOIN content_summaries AS s ON s.content_id = c.id"


class _Conditions:
    """What a row must fulfil, as SQL with the values that it refers to."""

    def __init__(self, dialect: Dialect, question: Question) -> None:
        self.values: list[Any] = []
        self._parts = [dialect.listed]
        for name, values in question.filters.items():
            self._one_of(dialect, name, values)
        if question.has_audio is not None:
            self._parts.append(f"c.has_audio = {self.bind(question.has_audio)}")
        if question.q:
            self._contains(dialect, question.q)

    def __str__(self) -> str:
        return " AND ".join(self._parts)

    def bind(self, value: object) -> str:
        self.values.append(value)
        return f"${len(self.values)}"

    def _one_of(self, dialect: Dialect, name: str, values: Sequence[str]) -> None:
        wanted = ", ".join(map(self.bind, values))
        if name in SUBJECTS:
            self._parts.append(f"c.id IN (SELECT id FROM ({dialect.subjects}) AS subject WHERE {name} IN ({wanted}))")
        else:
            self._parts.append(f"{COLUMNS[name]} IN ({wanted})")

    def _contains(self, dialect: Dialect, words: str) -> None:
        escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        pattern = self.bind(f"%{escaped}%")
        places = ("c.title", "c.channel_name", "s.summary_text")
        found = " OR ".join(f"{place} {dialect.like} {pattern} ESCAPE '\\'" for place in places)
        self._parts.append(f"({found})")


def page(dialect: Dialect, question: Question) -> tuple[Statement, Statement]:
    """How many videos there are in all (`total`), and those of one page with the beginning of their summaries."""
    where = _Conditions(dialect, question)
    count = Statement(f"SELECT count(*) AS total {_FROM} WHERE {where}", tuple(where.values))
    limit, offset = where.bind(question.size), where.bind((question.page - 1) * question.size)
    order = f"ORDER BY {_ORDERS[question.sort]} {dialect.unknown_last}, c.id LIMIT {limit} OFFSET {offset}"
    excerpt = f"substr(s.summary_text, 1, {EXCERPT_CHARACTERS}) AS excerpt"
    return count, Statement(f"SELECT {_REPORT}, {excerpt} {_FROM} WHERE {where} {order}", tuple(where.values))


def report(key: str) -> tuple[Statement, Statement]:
    """A video with its whole summary, and the latest of each variant of it."""
    variants = (
        "SELECT variant_type, revision, content, created_at FROM summary_variants AS v"
        f" WHERE v.is_latest AND v.video_id = (SELECT video_id FROM content WHERE id = {KEY})"
        " ORDER BY variant_type, revision DESC, v.id"
    )
    whole = f"SELECT {_REPORT}, s.summary_text, s.created_at AS summarised_at {_FROM} WHERE c.id = {KEY}"
    return Statement(whole, (key,)), Statement(variants, (key,))


def facets(dialect: Dialect) -> dict[str, Statement]:
    """The values that the list can be filtered by, each with its number of videos (`value`, `count`), by filter."""
    columns = {**COLUMNS, "has_audio": "c.has_audio"}
    plain = {name: _counted(dialect, f"SELECT {column} AS value, c.id") for name, column in columns.items()}
    subjects = f"JOIN ({dialect.subjects}) AS subject ON subject.id = c.id"
    return {
        "category": _counted(dialect, "SELECT DISTINCT subject.category AS value, c.id", subjects),
        "subcategory": _counted(
            dialect,
            "SELECT DISTINCT subject.subcategory AS value, subject.category AS below, c.id",
            subjects,
            "below, ",
        ),
        **plain,
    }


def _counted(dialect: Dialect, select: str, join: str = "", by: str = "") -> Statement:
    valued = f"{select} FROM content AS c {join} WHERE {dialect.listed}"
    counted = f"SELECT {by}value, count(*) AS count FROM ({valued}) AS valued"
    return Statement(f"{counted} WHERE value IS NOT NULL GROUP BY {by}value")
