"""The demo tells the whole story, ends by itself and leaves nothing behind; its configuration loses no row."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from harness import fetch, up, value

from cdc.config import TargetSection, load_config
from cdc.facts.progress import Silent
from cdc.resources import folder
from cdc.verify import verify

DEADLINE_SECONDS = 120
OF_AN_EXTRA = (
    "aiohttp",
    "apachelogs",
    "jsonpath_rfc9535",
    "selectolax",
)  # which `make demo` does not install


@pytest.fixture
def temporary() -> Iterator[Path]:
    # A short name: the folder of a Unix socket would otherwise have to stand elsewhere, and stays for the next start.
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
        yield Path(folder)


def demo(temporary: Path, *arguments: str, modules: Path | None = None) -> "subprocess.Popen[str]":
    """Play it; what is in `modules` is imported in place of what is installed."""
    return subprocess.Popen(
        [sys.executable, "-m", "cdc", "demo", *arguments],
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(modules or "")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def of_folder(place: Path) -> Iterator[str]:
    """Processes that have something to do with a folder."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            words = file.read_text(errors="replace")
            if str(place) in words:
                yield words


@pytest.mark.slow
def test_the_demo_tells_the_story_and_leaves_nothing_but_what_is_to_be_kept(tmp_path: Path, temporary: Path) -> None:
    kept = tmp_path / "kept"
    (tmp_path / "modules").mkdir()
    for library in OF_AN_EXTRA:
        (tmp_path / "modules" / f"{library}.py").write_text(f"raise ModuleNotFoundError(name='{library}')")
    with demo(temporary, "--keep", str(kept), modules=tmp_path / "modules") as process:
        out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, out
    for told in (
        "content.duration_seconds: 1 row: the value for column duration_seconds (bigint) is a real",
        "integrity ok",
        "313 rows in 3 tables, 0 in quarantine",
        "B is deleted; in Postgres: A is there, B is not",
        "A is finished; in Postgres: A is there, B is not",
        "'yt:video-c'",
        "releases it and its summary; in Postgres: A is there, B is not, C is there",
        "nothing: Postgres follows the application",
        "8 answers alike on both sides",
        "! first published, row 1, id: order of NULL",
        "both databases hold the same, and answer alike",
        "cdc init app.db",
    ):
        assert told in out
    assert list(temporary.iterdir()) == []
    assert list(of_folder(kept)) == []
    assert {found.name for found in kept.iterdir()} == {
        *(".cdc", "cdc.toml", "daemon.log", "port.toml", "queries.toml", "schemas", "ytv2_migration_day.db")
    }


@pytest.mark.slow
def test_a_demo_that_is_interrupted_leaves_nothing(temporary: Path) -> None:
    with demo(temporary) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Live" in line:
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 130
    assert list(of_folder(temporary)) == []
    assert list(temporary.iterdir()) == []


def test_a_folder_with_something_in_it_is_not_used(tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "precious").touch()
    with demo(temporary, "--keep", str(tmp_path)) as process:
        out, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert (process.returncode, "is not an empty folder" in out) == (64, True)


async def test_every_row_arrives_under_the_sample_configuration(tmp_path: Path, database: str) -> None:
    for name in ("cdc.toml", "ytv2_migration_day.db"):
        shutil.copyfile(folder("ytv2") / name, tmp_path / name)
    shutil.copytree(folder("ytv2") / "schemas", tmp_path / "schemas")
    config = msgspec.structs.replace(load_config(tmp_path / "cdc.toml"), target=TargetSection(database))
    await up(config)
    report = await verify(config, None, False, Silent())
    assert report.result == "equal"
    assert {t.table: (t.matched, t.quarantined) for t in report.tables} == {
        "content": (81, 0),
        "content_summaries": (59, 0),
        "summary_variants": (173, 0),
    }
    kinds = "SELECT count(*) FROM content WHERE jsonb_typeof(subcategories_json -> 'categories') = 'array'"
    assert await value(database, kinds) == 67
    assert await value(database, "SELECT duration_seconds::text FROM content WHERE duration_seconds % 1 <> 0") == "12.5"
    assert await value(database, "SELECT count(*) FROM content WHERE topics_json IS NULL AND key_topics <> ''") == 1
    types = await fetch(
        database,
        "SELECT column_name FROM information_schema.columns WHERE data_type = 'jsonb' AND table_schema = 'public'",
    )
    assert len(types) == 7
