"""A small file with what was ingested last, for a widget that reads it and asks no database."""

import json
from pathlib import Path

KEPT = 10


class Recent:
    """The newest `{id, title}` first. The dashboard itself never reads it for an answer."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def add(self, key: str, title: str) -> None:
        """Put one in front."""
        kept = [entry for entry in self._entries() if entry["id"] != key]
        entries = [{"id": key, "title": title}, *kept][:KEPT]
        self._file.write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")

    def clear(self) -> None:
        """Remove the file."""
        self._file.unlink(missing_ok=True)

    def _entries(self) -> list[dict[str, str]]:
        try:
            entries: list[dict[str, str]] = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return entries
