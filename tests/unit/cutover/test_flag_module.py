"""`cdc.flag` in an application: without any library, quick, and never a guess about which database is meant."""

import subprocess
import sys
from pathlib import Path

import pytest

import cdc
from cdc import flag as module
from cdc.flag import Flag, FlagUnreadable, encode, reads_from_postgres, writes_to_postgres

PACKAGE = Path(cdc.__file__).parent


def say(path: Path, reads: str, writes: str) -> None:
    """As the tool does it: another file in its place."""
    new = path.with_name("new")
    new.write_bytes(encode(reads, writes, "now"))
    new.replace(path)


def test_it_works_in_a_bare_interpreter_and_imports_next_to_nothing(tmp_path: Path) -> None:
    say(tmp_path / "flag.json", "postgres", "sqlite")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from cdc import flag; f = flag.Flag(sys.argv[2]);"
        "print(f.reads_from_postgres, f.writes_to_postgres, flag.reads_from_postgres(sys.argv[2]));"
        "print(*sorted(m for m in sys.modules if m.startswith('cdc') or m in ('typing', 'pathlib', 'logging')))"
    )
    command = [sys.executable, "-I", "-S", "-c", script, str(PACKAGE.parent), str(tmp_path / "flag.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["True False True", "cdc cdc.flag"]


def test_each_change_is_seen_and_a_file_that_stays_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "flag.json"
    flag = Flag(path)
    for reads, writes in (
        ("sqlite", "sqlite"),
        ("postgres", "sqlite"),
        ("postgres", "postgres"),
        ("postgres", "sqlite"),
    ):
        say(path, reads, writes)
        assert (flag.reads_from_postgres, flag.writes_to_postgres) == (reads == "postgres", writes == "postgres")
        assert (reads_from_postgres(path), writes_to_postgres(str(path))) == (reads == "postgres", writes == "postgres")
    monkeypatch.setattr(module, "decode", None)
    assert flag.reads_from_postgres


def test_a_file_that_was_never_there_means_sqlite(tmp_path: Path) -> None:
    flag = Flag(tmp_path / "flag.json")
    assert (flag.reads_from_postgres, flag.writes_to_postgres) == (False, False)


@pytest.mark.parametrize("spoilt", ["gone", "a folder", "half", "another side", "writes before reads", "no object"])
def test_a_file_that_tells_nothing_any_more_leaves_what_was_told_and_is_an_error_for_who_was_told_nothing(
    tmp_path: Path, spoilt: str
) -> None:
    path = tmp_path / "flag.json"
    say(path, "postgres", "postgres")
    flag = Flag(path)
    assert flag.writes_to_postgres
    path.unlink()
    contents = {
        "half": '{"reads": "postgres", "wri',
        "another side": '{"reads": "postgres", "writes": "mysql"}',
        "writes before reads": '{"reads": "sqlite", "writes": "postgres"}',
        "no object": '["postgres"]',
    }
    if spoilt == "a folder":
        path.mkdir()
    elif spoilt in contents:
        path.write_text(contents[spoilt])
    assert flag.reads_from_postgres
    assert flag.writes_to_postgres
    if spoilt == "gone":
        assert not Flag(path).reads_from_postgres
    else:
        with pytest.raises(FlagUnreadable, match=r"flag\.json cannot be read"):
            _ = Flag(path).reads_from_postgres
