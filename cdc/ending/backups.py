"""What the way back was ended with: where it lies, and whether it is what was kept."""

from pathlib import Path

from cdc.config import Config
from cdc.errors import Finalized, SnapshotError
from cdc.first_copy.snapshots import snapshots_folder
from cdc.notes import final_note
from cdc.notes.final_note import FinalNote
from cdc.sqlite.snapshot.manifest import sha256_of
from cdc.sqlite.snapshot.snapshot import check, open_snapshot


def refuse_way_back(config: Config) -> None:
    """Raise `Finalized`, with what there is instead of a way back, when that was ended."""
    note = final_note.read(config)
    if note is None:
        return
    dump = f"the dump is {config.state.dir / note.dump.file}" if note.dump else "there is no dump"
    raise Finalized(
        f"there is no way back: it was ended on purpose at {note.since} by {note.by}",
        remedy=f"`cdc restore {snapshots_folder(config) / note.snapshot} --to FILE` gives SQLite as it was then, "
        f"without what was written to Postgres since; {dump}",
    )


def require_backups(config: Config, note: FinalNote) -> list[Path]:
    """Check the last snapshot and the dump, every byte of them; returns where they are. Raises `SnapshotError`."""
    folder = snapshots_folder(config) / note.snapshot
    kept = open_snapshot(folder)
    check(kept)
    if kept.manifest.sha256 != note.snapshot_sha256:
        raise SnapshotError(
            f"snapshot {folder} is not the one that the way back was ended with",
            remedy="put that one back from a backup of the state folder; nothing was removed",
        )
    if note.dump is None:
        return [folder]
    file = config.state.dir / note.dump.file
    if not file.is_file() or file.stat().st_size != note.dump.bytes or sha256_of(file) != note.dump.sha256:
        raise SnapshotError(
            f"the dump {file} is gone, or is not the one that was made when the way back was ended",
            remedy="put it back from a backup of the state folder; nothing was removed",
        )
    return [folder, file]
