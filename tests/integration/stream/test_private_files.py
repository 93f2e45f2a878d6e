"""What lies in the state folder is its owner's alone, whatever the umask: it holds rows of the application."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from installation import Installation

from cdc.config import load_config
from cdc.errors import ExitCode
from cdc.host import private_files
from cdc.sqlite.changelog import source_file

STORY = (
    ("up", "--until-idle"),
    ("verify",),
    ("quarantine", "list"),
    ("pause",),
    ("schema", "--apply-pending"),
    ("resume",),
    ("audit",),
    ("load", "--resync"),
    ("run", "--until-idle"),
    ("cleanup", "--capture-only"),
)


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def readable_by_others(folder: Path) -> dict[str, str]:
    found = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        mode = path.lstat().st_mode
        wanted = 0o700 if stat.S_ISDIR(mode) else 0o600
        if (stat.S_ISDIR(mode) or stat.S_ISREG(mode)) and stat.S_IMODE(mode) & ~wanted:
            found[str(path.relative_to(folder))] = f"{stat.S_IMODE(mode):o}"
    return found


def follow_the_story(site: Installation) -> None:
    site.sql("CREATE TABLE gone(id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO gone VALUES (1, 2), (2, 'held')")
    site.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    for number, command in enumerate(STORY):
        code, _, err = site.run("-q", *command)
        assert code in {ExitCode.OK, ExitCode.DIFFERENCE}, (command, err)
        assert readable_by_others(site.folder / ".cdc") == {}, command
        if number == 0:
            site.sql("DROP TABLE gone")
            site.run("-q", "run", "--until-idle")
        if command == ("resume",):
            source_file.remove_capture(load_config(site.config_file))
            site.sql("DELETE FROM t WHERE id = 1")


def test_every_file_of_a_whole_story_is_its_owners_alone(site: Installation) -> None:
    follow_the_story(site)
    kinds = {path.parts[0] for path in (p.relative_to(site.folder / ".cdc") for p in (site.folder / ".cdc").rglob("*"))}
    assert {"snapshots", "dropped", "replaced", "audit.jsonl", "audit.end", "ended.json"} <= kinds


def test_an_embedded_server_and_its_log_are_its_owners_alone(site: Installation) -> None:
    site.configure("[target]", 'dsn = "embedded"')
    assert site.run("-q", "up", "--until-idle")[0] == ExitCode.OK
    assert readable_by_others(site.folder / ".cdc") == {}


def test_what_root_makes_in_a_folder_of_somebody_else_is_theirs(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes files for others")
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    private_files.make_folder(folder / "a" / "b")
    private_files.create(folder / "a" / "file").close()
    for made in ("a", "a/b", "a/file"):
        assert (folder / made).stat().st_uid == 65534


def test_a_file_that_others_could_read_is_closed_to_them_when_it_is_written_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch(0o644)
    private_files.create(file, "ab").close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
