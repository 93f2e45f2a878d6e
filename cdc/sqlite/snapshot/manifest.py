"""What a snapshot's copy holds, written beside it: enough to prove later that it is whole and still the same."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw
import msgspec

from cdc.errors import SnapshotError
from cdc.host import private_files
from cdc.host.durable import flush
from cdc.sql_names import quote

FORMAT: Final = 1
FILE_NAME: Final = "manifest.json"
_HASH_CHUNK: Final = 1024 * 1024  # bytes
_CHANGELOG: Final = "_cdc_changelog"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The facts of one snapshot. A folder without a manifest is no snapshot: it is written last.

    `taken_at` is ISO 8601 in UTC, `source` the absolute path, `sqlite_version` that of the library that copied.
    `journal_mode` is the source's; the copy itself is always one file without a log. `changelog_seq` is the newest
    entry of the changelog in the copy, None before capture. `unchecked` are tables that only the application could
    check, because it brings its own functions or collations, and why. `faults` counts rows that break NOT NULL or a
    type of their table, in SQLite's words.
    """

    id: str
    taken_at: str
    source: str
    sqlite_version: str
    journal_mode: str
    method: str
    bytes: int
    sha256: str
    integrity_check: str
    foreign_key_violations: int | None
    tables: dict[str, int]
    changelog_seq: int | None
    unchecked: dict[str, str] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def application_tables(self) -> dict[str, int]:
        """Rows by table, without the tables of this tool."""
        return {name: rows for name, rows in self.tables.items() if not name.startswith("_cdc_")}


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Store the manifest in a snapshot's folder: it is there whole or not at all, also after a power cut."""
    path = folder / FILE_NAME
    text = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"
    private_files.replace(path, text)
    # A name is durable by the folder that holds it: the manifest's by this one, the snapshot's by the one above.
    flush(folder)
    flush(folder.parent)


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a snapshot's folder; raises `SnapshotError` when there is none that can be understood."""
    path = folder / FILE_NAME
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise SnapshotError(
            f"{folder} is not a complete snapshot: it has no {FILE_NAME}",
            remedy="name the folder of a snapshot; one whose making was cut short cannot be used",
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise SnapshotError(f"{path} cannot be read: {error}", remedy="use another snapshot") from None
    if manifest.format != FORMAT:
        raise SnapshotError(
            f"{path} has format {manifest.format}, this version reads format {FORMAT}",
            remedy="use the version of cdc that took the snapshot",
        )
    return manifest


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_HASH_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def changelog_seq(connection: apsw.Connection, tables: dict[str, int]) -> int | None:
    """The newest entry's number in the changelog; None when there is no changelog or it is empty."""
    if _CHANGELOG not in tables:
        return None
    if not connection.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = 'seq'", (_CHANGELOG,)).get:
        return None  # a table of the application's own under this name
    newest = connection.execute(f"SELECT max(seq) FROM main.{quote(_CHANGELOG)}").get
    return newest if isinstance(newest, int) else None


def count_foreign_key_violations(connection: apsw.Connection) -> int | None:
    """How many rows miss their parent, for information; None when a foreign key itself is wrong."""
    try:
        return int(connection.execute("SELECT count(*) FROM pragma_foreign_key_check").get)
    except apsw.SQLError:
        return None
