"""The document as a page that prints. Pure: the page holds the document, and everything that it shows comes from it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cdc.pages.render import rendered
from cdc.report.seal import canonical, document_sha256

_TEMPLATE: Final = Path(__file__).parent / "templates" / "report.html"
SHOWN_TABLES: Final = 6  # on the first page; the rest follow


def make_page(document: dict[str, Any]) -> str:
    """The page as HTML, without its seal; every text in it is escaped."""
    # As it stands in the page, so that it can be made again from there: the order of names is that of its one text.
    values = {
        **json.loads(canonical(document)),
        "sha256": document_sha256(document),
        "embedded": canonical(document),  # it has nothing in it that HTML reads
        "shown_tables": SHOWN_TABLES,
    }
    filters: dict[str, Callable[..., str]] = {
        "n": _number,
        "moment": _moment,
        "day": _day,
        "seconds": _seconds,
        "size": _size,
        "sentence": _sentence,
    }
    return rendered(_TEMPLATE, values, filters)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _moment(at: str | None) -> str:
    """`2026-11-27 10:14:03`; all moments are in UTC, which the page says once."""
    return at[:19].replace("T", " ") if at else ""


def _day(at: str) -> str:
    return at[:10]


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} s"


def _size(value: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def _sentence(text: str) -> str:
    """With a capital at its beginning."""
    return text[:1].upper() + text[1:]
