"""What the application computes and SQLite does not hold: a summary's HTML, and one document of a video's analysis.

These stand in for the application's own functions; `python` in adopted.toml names them, and an operator names the
application's. Each gives the same for the same row, and takes rows of every generation of the file.
"""

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any

BULLET = re.compile(r"\s*[-*•] +")
BOLD = re.compile(r"\*\*(.+?)\*\*")


def html(summary_text: str | None, summary_type: str | None) -> str | None:
    """A summary as the dashboard shows it; without a text there is nothing to show."""
    text = (summary_text or "").strip()
    blocks = [_block(block.splitlines()) for block in re.split(r"\n\s*\n", text)]
    return f'<div class="summary {escape(summary_type or "comprehensive")}">{"".join(blocks)}</div>' if text else None


def _block(lines: list[str]) -> str:
    """A paragraph, or the items of a list under the lines that lead to it."""
    text = [_marked(line) for line in lines if not BULLET.match(line)]
    items = [f"<li>{_marked(BULLET.sub('', line, count=1))}</li>" for line in lines if BULLET.match(line)]
    return (f"<p>{'<br>'.join(text)}</p>" if text else "") + (f"<ul>{''.join(items)}</ul>" if items else "")


def _marked(line: str) -> str:
    return BOLD.sub(r"<strong>\1</strong>", escape(line.strip(), quote=False))


def analysis(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the dashboard reads from one document in Postgres, and from columns in SQLite.

    The columns win over members of the same name in `analysis`, whose further members are kept.
    """
    document = {
        "content_type": row.get("content_type"),
        "complexity_level": row.get("complexity_level"),
        "language": row.get("language") or "en",
        "key_topics": _list(row.get("key_topics")),
        "named_entities": _list(row.get("named_entities")),
        "word_count": row.get("word_count"),
        "audio_duration_seconds": row.get("audio_duration_seconds"),
        "has_transcript": bool(row.get("has_transcript")),
        "transcript_chars": row.get("transcript_chars"),
    }
    if not row.get("subcategories_json"):
        subcategories = [row["subcategory"]] if row.get("subcategory") else []
        categories = _list(row.get("category"))
        document["categories"] = [{"category": name, "subcategories": subcategories} for name in categories]
    more = _json(row.get("analysis"))
    return {**more, **document} if isinstance(more, dict) else document


def _list(text: str | None) -> list[Any]:
    """The list that a column holds as JSON; empty for NULL, for words that are no JSON, and for anything else."""
    found = _json(text)
    return found if isinstance(found, list) else []


def _json(text: str | None) -> object:
    try:
        return json.loads(text or "null")
    except ValueError:
        return None
