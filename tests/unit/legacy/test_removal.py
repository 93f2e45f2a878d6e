"""What was removed comes back as it was, whenever the removal was killed; and nothing is ever written over."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cdc.errors import RemovalRefused
from cdc.legacy.removal import put_back, remove

NAMES = ("a/nas_sync.py", "b/nas_sync.py", "sync_sqlite_db.py")
OLD = 1_600_000_000_123_456_789

Picture = dict[str, tuple[bytes, int, int]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        path = tmp_path / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"print({number})\n".encode() + bytes([0xE9, 0xFF]))
        path.chmod((0o755, 0o640, 0o600)[number])
        os.utime(path, ns=(OLD, OLD + number))
    return tmp_path / "app"


def picture(root: Path) -> Picture:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(p.relative_to(root)): (p.read_bytes(), p.stat().st_mode, p.stat().st_mtime_ns) for p in files}


def killed(root: Path, backups: Path, call: str, point: str) -> None:
    code = f"from pathlib import Path; from cdc.legacy.removal import *; {call}"
    paths = [str(root / name) for name in NAMES]
    done = subprocess.run(
        [sys.executable, "-c", code, str(backups), *paths],
        env={**os.environ, "CDC_CRASH_AT": point},
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL


REMOVE = "import sys; remove([Path(p) for p in sys.argv[2:]], Path(sys.argv[1]))"
PUT_BACK = "import sys; put_back(next(Path(sys.argv[1]).glob('*/manifest.json')))"


@pytest.mark.parametrize(
    ("point", "left"),
    [("legacy.before_manifest", 3), ("legacy.before_removal", 3), ("legacy.before_removal:3", 1)],
)
def test_a_removal_that_was_killed_is_undone(root: Path, tmp_path: Path, point: str, left: int) -> None:
    before = picture(root)
    killed(root, tmp_path / "backups", REMOVE, point)
    assert len(picture(root)) == left
    manifests = list((tmp_path / "backups").glob("*/manifest.json"))
    assert len(manifests) == (0 if "manifest" in point else 1), "without a manifest, nothing was removed"
    if left < len(NAMES):
        killed(root, tmp_path / "backups", PUT_BACK, "legacy.after_restore")
        assert len(picture(root)) == left + 1
    for manifest in manifests:
        restored, there = put_back(manifest)
        assert len(restored) + len(there) == len(NAMES)
    assert picture(root) == before


def test_everything_comes_back_to_the_mode_and_the_time(root: Path, tmp_path: Path) -> None:
    before = picture(root)
    manifest = remove([root / name for name in NAMES], tmp_path / "backups")
    assert picture(root) == {}
    assert manifest.parent.stat().st_mode & 0o077 == 0
    told = json.loads(manifest.read_bytes())
    assert [Path(file["path"]) for file in told["files"]] == [root / name for name in NAMES]
    assert {file["git"] for file in told["files"]} == {"not in Git"}
    (root / "a").rmdir()
    assert put_back(manifest) == ([str(root / name) for name in NAMES], [])
    assert put_back(manifest) == ([], [str(root / name) for name in NAMES])
    assert picture(root) == before


def test_a_link_is_not_followed_and_nothing_is_removed(root: Path, tmp_path: Path) -> None:
    (root / NAMES[1]).rename(tmp_path / "elsewhere.py")
    (root / NAMES[1]).symlink_to(tmp_path / "elsewhere.py")
    with pytest.raises(RemovalRefused, match="lost: Too many levels of symbolic links"):
        remove([root / name for name in NAMES], tmp_path / "backups")
    assert (tmp_path / "elsewhere.py").exists()
    assert (root / NAMES[0]).exists()
    assert not list((tmp_path / "backups").glob("*/manifest.json"))


def test_what_cannot_be_put_back_whole_is_not_begun(root: Path, tmp_path: Path) -> None:
    manifest = remove([root / name for name in NAMES], tmp_path / "backups")
    (root / NAMES[2]).write_text("another")
    with pytest.raises(RemovalRefused, match="is there again, and is not the file that was removed"):
        put_back(manifest)
    (root / NAMES[2]).unlink()
    copy = manifest.parent / "003-sync_sqlite_db.py"
    kept = copy.read_bytes()
    copy.write_bytes(kept + b"x")
    with pytest.raises(RemovalRefused, match="is not what was removed any more"):
        put_back(manifest)
    assert picture(root) == {}
    told = json.loads(manifest.read_bytes())
    told["files"][2]["copy"] = "../x"
    manifest.write_text(json.dumps(told))
    with pytest.raises(RemovalRefused, match="is no manifest of removed files"):
        put_back(manifest)
