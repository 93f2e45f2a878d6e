"""What may be written: bodies of requests, checked, and the statements of one transaction that they become.

No statement depends on a cascade, a trigger or a constraint of one database: the other may not have it.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from msgspec import UNSET, Meta, MsgspecError, Struct, UnsetType, structs
from msgspec.json import decode

from .backend import Statement
from .queries import KEY
from .question import BadRequest

# Postgres holds every character but the zero; what one database would refuse neither may get.
Text = Annotated[str, Meta(max_length=200_000, pattern=r"^[^\0]*\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\0]*\Z")]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Seconds = Annotated[int, Meta(ge=0, le=2**53)] | Annotated[float, Meta(ge=0, le=2**53)]
VideoId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]


class Subject(Struct, forbid_unknown_fields=True):
    """A category of a video with its subcategories."""

    category: Name
    subcategories: list[Name] = []


class Summary(Struct, forbid_unknown_fields=True):
    """What the summariser wrote."""

    text: Text
    type: Name = "comprehensive"


class Fields(Struct, kw_only=True, forbid_unknown_fields=True):
    """What can be said of a video. What a request leaves out stays as it is."""

    title: Name | UnsetType = UNSET
    channel: Text | UnsetType = UNSET
    canonical_url: Text | UnsetType = UNSET
    thumbnail_url: Text | UnsetType = UNSET
    published_at: Text | UnsetType | None = UNSET
    duration_seconds: Seconds | UnsetType = UNSET
    view_count: Count | UnsetType = UNSET
    has_audio: bool | UnsetType = UNSET
    content_type: Text | UnsetType = UNSET
    complexity_level: Text | UnsetType = UNSET
    language: Text | UnsetType = UNSET
    categories: list[Subject] | UnsetType = UNSET
    key_topics: list[Name] | UnsetType = UNSET
    named_entities: list[Name] | UnsetType = UNSET
    summary: Summary | UnsetType = UNSET


class Video(Fields, kw_only=True):
    """A video as the bot delivers it."""

    video_id: VideoId
    title: Name


Body = TypeVar("Body", bound=Fields)


def decoded(body: bytes, kind: type[Body]) -> Body:
    """The JSON of a request. Raises `BadRequest` with what is wrong with it."""
    try:
        return decode(body, type=kind)
    except MsgspecError as error:
        raise BadRequest(str(error)) from error


def ingest(video: Video) -> list[Statement]:
    """Insert a video or change it, and its summary. The first statement returns its `id`."""
    now = _now()
    columns = {**_columns(video), "processing_status": "completed", "updated_at": now}
    new = {"key_topics": "[]", "named_entities": "[]", "indexed_at": now, "created_at": now}
    # `video_id` is the first for `KEY`: an older version made other ids of it, and a video keeps the one it has.
    values = {"video_id": video.video_id, **new, **columns}
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns)
    upsert = (
        f"INSERT INTO content ({', '.join(values)}, id) VALUES ({places}, coalesce({KEY}, ${len(values) + 1}))"
        f" ON CONFLICT (id) DO UPDATE SET {changes} RETURNING id"
    )
    arguments = (*values.values(), f"yt:{video.video_id}")
    return [Statement(upsert, arguments), *_summary(video.video_id, video.summary, now)]


def change(key: str, fields: Fields) -> list[Statement]:
    """Change what is said of a video that is there. The first statement returns its `id`, or nothing.

    Raises `BadRequest` when nothing is to be changed.
    """
    columns = _columns(fields)
    if not columns and fields.summary is UNSET:
        raise BadRequest("nothing is to be changed")
    now = _now()
    columns["updated_at"] = now
    changes = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, 2))
    update = Statement(f"UPDATE content SET {changes} WHERE id = {KEY} RETURNING id", (key, *columns.values()))
    return [update, *_summary(key, fields.summary, now)]


def delete(key: str) -> dict[str, Statement]:
    """Delete a video and what belongs to it; each statement returns what it deleted."""
    video = f"(SELECT video_id FROM content WHERE id = {KEY})"
    return {
        "summaries": Statement(f"DELETE FROM content_summaries WHERE content_id = {KEY} RETURNING id", (key,)),
        "variants": Statement(f"DELETE FROM summary_variants WHERE video_id = {video} RETURNING id", (key,)),
        "content": Statement(f"DELETE FROM content WHERE id = {KEY} RETURNING id", (key,)),
    }


def _summary(key: str, summary: Summary | UnsetType, now: str) -> list[Statement]:
    """Two statements instead of ON CONFLICT, for which a deferrable constraint is not enough in Postgres."""
    if summary is UNSET:
        return []
    update = f"UPDATE content_summaries SET summary_text = $2, summary_type = $3 WHERE content_id = {KEY} RETURNING id"
    insert = (
        "INSERT INTO content_summaries (content_id, summary_text, summary_type, created_at)"
        f" SELECT c.id, $2, $3, $4 FROM content AS c WHERE c.id = {KEY}"
        " AND NOT EXISTS (SELECT 1 FROM content_summaries AS s WHERE s.content_id = c.id) RETURNING id"
    )
    written = (key, summary.text, summary.type)
    return [Statement(update, written), Statement(insert, (*written, now))]


def _columns(fields: Fields) -> dict[str, Any]:
    """The columns of `content` that a request gives, with their values."""
    given = {name: value for name in fields.__struct_fields__ if (value := getattr(fields, name)) is not UNSET}
    columns = {_COLUMN.get(name, name): value for name, value in given.items() if name not in _ELSEWHERE}
    for name in ("key_topics", "named_entities"):
        if name in columns:
            columns[name] = _json(columns[name])
    if categories := given.get("categories"):
        columns["category"] = _json([subject.category for subject in categories])
        columns["subcategories_json"] = _json({"categories": [structs.asdict(subject) for subject in categories]})
    return columns


_COLUMN: Mapping[str, str] = {"channel": "channel_name"}
_ELSEWHERE = {"categories", "summary", "video_id"}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
