"""The audit file: appended to by several at once, bounded, mended after a crash, and broken by all else done to it."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cdc.audit import segments, trail
from cdc.audit.chain import Head
from cdc.audit.check import Witness

SMALL = 64 * 1024  # bytes that are kept in the tests of bounding


def recorded(folder: Path, count: int) -> list[str]:
    for number in range(count):
        trail.record(folder, "load", "done", {"rows": number})
    return lines(folder)


def lines(folder: Path) -> list[str]:
    return (folder / trail.FILE).read_text().splitlines(keepends=True)


def write(folder: Path, found: list[str]) -> None:
    (folder / trail.FILE).write_text("".join(found))


def breaks(folder: Path, *witnesses: Witness) -> list[str]:
    return [str(found).partition(" (")[0] for found in trail.check(folder, *witnesses).breaks]


def test_a_file_that_nobody_touched_is_whole(tmp_path: Path) -> None:
    recorded(tmp_path, 5)
    verdict = trail.check(tmp_path)
    assert verdict.whole
    assert (verdict.first, verdict.last.n, verdict.unchained) == (1, 5, 0)


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda found: found[:2] + found[3:], "line 3 is missing"),
        (lambda found: found[3:], "lines 1 to 3 are missing"),
        (lambda found: found[:3], "lines 4 to 6 are missing at the end: audit.end remembers them"),
        (lambda found: [], "lines 1 to 6 are missing at the end: audit.end remembers them"),
        (lambda found: [found[1], found[0], *found[2:]], "line 1 stands after line 2: it was moved or inserted"),
        (lambda found: [*found[:3], found[1], *found[3:]], "line 2 stands after line 3: it was moved or inserted"),
        (lambda found: [*found[:3], "{}\n", *found[3:]], "what stands after line 3 is no sealed line"),
        (
            lambda found: [line.replace('"rows": 2', '"rows": 7') for line in found],
            "line 3 does not follow from line 2: one was changed",
        ),
        (
            lambda found: [line.replace('"rows": 0', '"rows": 7') for line in found],
            "line 1, the first one, was changed",
        ),
        (lambda found: [*found[:5], found[5].replace(": 5}", ": 6}")], "line 6 does not follow from line 5"),
    ],
)
def test_what_was_done_to_the_file_is_told(
    tmp_path: Path, tamper: Callable[[list[str]], list[str]], words: str
) -> None:
    write(tmp_path, tamper(recorded(tmp_path, 6)))
    assert any(found.startswith(words) for found in breaks(tmp_path)), breaks(tmp_path)


@pytest.mark.parametrize(("kept", "words"), [(3, "lines 4 to 6 are missing"), (0, "lines 1 to 6 are missing")])
def test_what_was_cut_off_stays_missing_when_more_is_recorded(tmp_path: Path, kept: int, words: str) -> None:
    write(tmp_path, recorded(tmp_path, 6)[:kept])
    recorded(tmp_path, 2)
    assert breaks(tmp_path) == [words]


def test_a_file_that_is_gone_with_its_noted_end_is_missed_by_who_remembers_it(tmp_path: Path) -> None:
    recorded(tmp_path, 6)
    end, _ = trail.ends(tmp_path)
    for file in (trail.FILE, trail.END_FILE):
        (tmp_path / file).unlink()
    assert breaks(tmp_path, Witness("Postgres", end)) == [
        "lines 1 to 6 are missing at the end: Postgres remembers them"
    ]


def test_a_noted_end_that_is_gone_is_told_and_stays_told_when_more_is_recorded(tmp_path: Path) -> None:
    write(tmp_path, recorded(tmp_path, 4)[:3])
    (tmp_path / trail.END_FILE).unlink()
    gone = "audit.end is gone, so lines that are missing at the end are not noticed"
    assert breaks(tmp_path) == [gone]
    recorded(tmp_path, 2)
    assert [words.partition(": ")[2] for words in breaks(tmp_path)] == [gone]


def test_a_file_that_was_written_anew_is_not_the_one_that_was_remembered(tmp_path: Path) -> None:
    recorded(tmp_path, 6)
    end, _ = trail.ends(tmp_path)
    for file in (trail.FILE, trail.END_FILE):
        (tmp_path / file).unlink()
    recorded(tmp_path, 8)
    assert breaks(tmp_path, Witness("Postgres", end)) == ["line 6 is not the one that Postgres remembers"]


# --- crashes ----------------------------------------------------------------------------------------------------------


def test_lines_that_are_newer_than_the_noted_end_are_taken_as_they_are(tmp_path: Path) -> None:
    recorded(tmp_path, 2)
    noted = (tmp_path / trail.END_FILE).read_bytes()
    recorded(tmp_path, 3)
    (tmp_path / trail.END_FILE).write_bytes(noted)  # killed before the end was noted
    recorded(tmp_path, 1)
    assert trail.check(tmp_path).whole
    assert len(lines(tmp_path)) == 6


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"\0" * 300])
def test_a_damaged_note_of_the_end_is_made_anew(tmp_path: Path, content: bytes) -> None:
    recorded(tmp_path, 3)
    (tmp_path / trail.END_FILE).write_bytes(content)
    recorded(tmp_path, 1)
    assert trail.check(tmp_path).whole
    assert trail.ends(tmp_path)[0].n == 4


@pytest.mark.parametrize("kept", [1, 40, -70, -2])
def test_a_line_that_a_crash_cut_short_is_taken_away_and_that_is_recorded(tmp_path: Path, kept: int) -> None:
    recorded(tmp_path, 2)
    noted = (tmp_path / trail.END_FILE).read_bytes()
    found = recorded(tmp_path, 1)
    write(tmp_path, [*found[:2], found[2][:kept]])
    (tmp_path / trail.END_FILE).write_bytes(noted)
    recorded(tmp_path, 1)
    assert trail.check(tmp_path).whole
    assert [e.action for e in trail.read(tmp_path)] == ["load", "load", "mend", "load"]
    assert trail.read(tmp_path)[2].details == {"bytes": len(found[2][:kept])}


def test_a_line_that_lacks_only_its_newline_is_kept(tmp_path: Path) -> None:
    found = recorded(tmp_path, 3)
    write(tmp_path, [*found[:2], found[2].rstrip("\n")])
    recorded(tmp_path, 1)
    assert trail.check(tmp_path).whole
    assert [e.n for e in trail.read(tmp_path)] == [1, 2, 3, 4]


def test_copies_that_were_not_noted_before_a_crash_are_found_again(tmp_path: Path) -> None:
    recorded(tmp_path, 1)
    noted = (tmp_path / trail.END_FILE).read_bytes()
    with trail.opened(tmp_path) as file:
        file.append([trail.AuditEntry("", "", "batch", "done", copy_of=n) for n in (4, 5)], Head(5, "x"))
    (tmp_path / trail.END_FILE).write_bytes(noted)
    with trail.opened(tmp_path) as file:
        assert file.postgres == Head(5)


# --- earlier versions -------------------------------------------------------------------------------------------------

OLD = '{"at": "2026-01-01T00:00:00.000+00:00", "actor": "a@b", "action": "load", "result": "done", "details": {}}\n'


def test_lines_of_an_earlier_version_are_kept_and_said_to_be_unchecked(tmp_path: Path) -> None:
    write(tmp_path, [OLD, OLD])
    recorded(tmp_path, 2)
    verdict = trail.check(tmp_path)
    assert verdict.whole
    assert (verdict.unchained, verdict.first, verdict.last.n) == (2, 1, 2)
    assert len(trail.read(tmp_path)) == 4


def test_a_sealed_line_cannot_be_made_to_look_old(tmp_path: Path) -> None:
    found = recorded(tmp_path, 3)
    write(tmp_path, [OLD, *found[1:]])
    assert breaks(tmp_path) == ["line 1 is missing"]
    write(tmp_path, [OLD, OLD, OLD])
    assert breaks(tmp_path) == ["lines 1 to 3 are missing at the end: audit.end remembers them"]


# --- bounding ---------------------------------------------------------------------------------------------------------


def fill(folder: Path, count: int, *, most_bytes: int = SMALL) -> None:
    details = {"table": "t" * 100}
    with trail.opened(folder) as file:
        for _ in range(count):
            file.append([trail.AuditEntry("2026-01-01", "a@b", "batch", "done", details) for _ in range(50)])
            file.bound(most_bytes)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("audit*"))


def test_what_is_kept_is_bounded_and_the_chain_goes_on_across_its_pieces(tmp_path: Path) -> None:
    fill(tmp_path, 40)
    verdict = trail.check(tmp_path)
    assert verdict.whole
    assert len(segments.closed(tmp_path)) > 3
    assert verdict.first > 1
    assert verdict.last.n > 2_000
    for _ in range(20):
        fill(tmp_path, 4)
        assert size_of(tmp_path) <= SMALL + 4 * 1024
        assert trail.check(tmp_path).whole


def test_without_a_bound_everything_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "LARGEST_SEGMENT", 8 * 1024)
    fill(tmp_path, 40, most_bytes=0)
    verdict = trail.check(tmp_path)
    assert (verdict.whole, verdict.first, verdict.entries) == (True, 1, 2_000)
    assert len(segments.closed(tmp_path)) > 3


def test_steps_are_kept_when_what_surrounds_them_is_dropped(tmp_path: Path) -> None:
    recorded(tmp_path, 1)
    fill(tmp_path, 60)
    steps = [e for e in trail.read(tmp_path) if e.action == "load"]
    assert {e.details["again"] for e in steps} == {1}
    assert {e.details["rows"] for e in steps} == {0}


def test_a_dropped_piece_that_nothing_tells_of_is_missed(tmp_path: Path) -> None:
    fill(tmp_path, 40)
    oldest = segments.closed(tmp_path)[0]
    oldest.unlink()
    assert breaks(tmp_path)[0].endswith("are missing")


def test_a_damaged_piece_is_missed(tmp_path: Path) -> None:
    fill(tmp_path, 40)
    piece = segments.closed(tmp_path)[1]
    data = bytearray(piece.read_bytes())
    data[len(data) // 2] ^= 0xFF
    piece.write_bytes(data)
    assert not trail.check(tmp_path).whole


def test_a_changed_line_in_a_closed_piece_is_told(tmp_path: Path) -> None:
    fill(tmp_path, 40)
    piece = segments.closed(tmp_path)[1]
    data = gzip.decompress(piece.read_bytes())
    piece.write_bytes(gzip.compress(data.replace(b"a@b", b"a@c", 1)))
    assert len(trail.check(tmp_path).breaks) == 1


@pytest.mark.parametrize("stage", ["renamed", "compressing", "compressed"])
def test_killed_while_a_piece_is_closed_nothing_is_lost_or_twice_there(tmp_path: Path, stage: str) -> None:
    fill(tmp_path, 2, most_bytes=10**9)
    plain = tmp_path / "audit-000000000001.jsonl"
    (tmp_path / trail.FILE).rename(plain)
    if stage == "compressing":
        plain.with_name(plain.name + ".part").write_bytes(b"half")
    if stage == "compressed":
        plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert trail.check(tmp_path).whole
    fill(tmp_path, 1)
    verdict = trail.check(tmp_path)
    assert (verdict.whole, verdict.entries) == (True, 150)


def test_killed_between_telling_and_dropping_the_trail_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(segments, "drop", lambda paths: None)
        fill(tmp_path, 12)
    assert trail.check(tmp_path).whole
    fill(tmp_path, 4)
    assert trail.check(tmp_path).whole


def test_the_end_is_found_in_the_last_piece_when_nothing_else_is_left(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    with trail.opened(tmp_path) as file:
        segments.close_current(tmp_path, 0)
        last = file.end
    (tmp_path / trail.END_FILE).unlink()
    with trail.opened(tmp_path) as file:
        assert file.end == last


# --- several at once --------------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from cdc.audit import trail
for number in range(int(sys.argv[2])):
    trail.record(Path(sys.argv[1]), "load", "done", {"rows": number})
"""


def test_several_processes_keep_one_chain(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), "40"]
    writers = [subprocess.Popen(command) for _ in range(4)]
    while any(writer.poll() is None for writer in writers):
        assert trail.check(tmp_path).whole  # also to who reads while they write
    assert [writer.returncode for writer in writers] == [0] * 4
    verdict = trail.check(tmp_path)
    assert (verdict.whole, verdict.entries, verdict.last.n) == (True, 160, 160)


def test_a_line_is_ascii_and_one_json_object(tmp_path: Path) -> None:
    trail.record(tmp_path, "load", "done", {"reason": "häßlich \udc80 \u2028 \n", "keys": ["'ключ'"]})
    (line,) = lines(tmp_path)
    assert line.isascii()
    told = json.loads(line)
    assert list(told) == ["n", "at", "actor", "action", "result", "details", "hash"]
    assert told["details"]["keys"] == ["'ключ'"]
    assert trail.check(tmp_path).whole
