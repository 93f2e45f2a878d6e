"""Rows as the API answers them: the same document from either database."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import unescape
from typing import Any

from .backend import Row
from .question import Question

Document = dict[str, Any]
_TAG = re.compile(r"<[^>]*>")


def listing(question: Question, total: int, rows: Iterable[Row]) -> Document:
    """One page of reports, and where in all of them it stands."""
    pages = max(1, -(-total // question.size))
    return {
        "reports": [_report(row) for row in rows],
        "pagination": {
            "page": question.page,
            "size": question.size,
            "total": total,
            "pages": pages,
            "has_next": question.page < pages,
            "has_previous": question.page > 1,
        },
        "sort": question.sort,
    }


def detail(row: Row, variants: Iterable[Row]) -> Document:
    """A report with all of its summaries."""
    return {
        **_report(row),
        "summary": {
            "type": row["summary_type"],
            "text": row["summary_text"],
            "created_at": instant(row["summarised_at"]),
        },
        "variants": [
            {
                "type": variant["variant_type"],
                "revision": variant["revision"],
                "text": unescape(_TAG.sub("", variant["content"])).strip(),
                "created_at": instant(variant["created_at"]),
            }
            for variant in variants
        ],
    }


def facets(rows: Mapping[str, Sequence[Row]]) -> Document:
    """Lists of `{value, count}` by name, the most frequent first; categories have those of their subcategories."""

    def values(name: str, below: str | None = None) -> list[Document]:
        wanted = [row for row in rows[name] if row["value"] != "" and row.get("below") == below]
        # Sorted here: a value from a document has the collation of the database.
        wanted.sort(key=lambda row: (-row["count"], row["value"]))
        return [{"value": row["value"], "count": row["count"]} for row in wanted]

    categories = [{**facet, "subcategories": values("subcategory", facet["value"])} for facet in values("category")]
    return {
        "categories": categories,
        "channels": values("channel"),
        "content_types": values("content_type"),
        "complexity_levels": values("complexity"),
        "languages": values("language"),
        "has_audio": [{**facet, "value": bool(facet["value"])} for facet in values("has_audio")],
    }


def instant(text: str | None) -> str | None:
    """A time stamp of any of the four forms in one: to the second, in UTC, where those without a zone are already."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return text or None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _report(row: Row) -> Document:
    return {
        "id": row["id"],
        "video_id": row["video_id"],
        "title": row["title"],
        "channel": row["channel_name"],
        "thumbnail_url": row["thumbnail_url"],
        "canonical_url": row["canonical_url"],
        "published_at": instant(row["published_at"]),
        "indexed_at": instant(row["indexed_at"]),
        "duration_seconds": row["duration_seconds"],
        "view_count": row["view_count"],
        "like_count": row["like_count"],
        "word_count": row["word_count"],
        "status": row["processing_status"],
        "analysis": {
            "categories": _categories(row),
            "content_type": row["content_type"] or None,
            "complexity_level": row["complexity_level"] or None,
            "language": row["language"] or "en",
            "key_topics": _words(row["key_topics"]),
            "named_entities": _words(row["named_entities"]),
        },
        "media": {
            "has_audio": bool(row["has_audio"]),
            "audio_duration_seconds": row["audio_duration_seconds"],
            "has_transcript": bool(row["has_transcript"]),
        },
        "summary": {"type": row["summary_type"], "excerpt": row.get("excerpt")},
    }


def _categories(row: Row) -> list[Document]:
    """What was categorised by hand, otherwise what older rows have instead of it."""
    tree = _parsed(row["subcategories_json"])
    if isinstance(tree, dict):
        return [{"category": s["category"], "subcategories": s["subcategories"]} for s in tree.get("categories", ())]
    below = [row["subcategory"]] if row["subcategory"] else []
    return [{"category": name, "subcategories": below} for name in _words(row["category"])]


def _words(text: str | None) -> list[Any]:
    """A list in JSON, or words with commas between them as an early version stored them."""
    parsed = _parsed(text)
    if isinstance(parsed, list):
        return parsed
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _parsed(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except ValueError:
        return None
