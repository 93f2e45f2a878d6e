"""The SQLite file under a link: the configuration keeps the link, and what it leads to may change at any time."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from harness import Daemon, value, wait_for
from installation import Installation

from cdc.cli import main
from cdc.config import load_config
from cdc.daemon.unit import installation, render
from cdc.errors import ExitCode
from cdc.sqlite.connection.file_watch import Watch


def link(site: Installation) -> Path:
    """Move the file to a folder of its own, and leave a link in its place; returns where the file is."""
    real = site.folder / "volume" / "one.db"
    real.parent.mkdir()
    site.database.rename(real)
    site.database.symlink_to("volume/one.db")
    assert site.run("init", "app.db", "--target", site.dsn, "--force")[0] == ExitCode.OK
    return real


def swap(site: Installation, to: Path) -> None:
    (site.folder / "new").symlink_to(to)
    (site.folder / "new").replace(site.database)


def test_init_names_the_link_as_it_was_given(site: Installation) -> None:
    link(site)
    assert 'path = "app.db"' in site.config_file.read_text()
    assert load_config(site.config_file).source.path == site.database
    (site.folder / "current").symlink_to("volume")
    for given in ("current/one.db", str(site.folder / "current" / "one.db")):
        assert main(["init", given, "--target", site.dsn, "--force"]) == ExitCode.OK
        assert 'path = "current/one.db"' in site.config_file.read_text()


def test_a_daemon_follows_through_the_link_and_ends_when_it_leads_elsewhere(site: Installation) -> None:
    real = link(site)
    site.sql("INSERT INTO t VALUES (0, 'of the kind that comes')")
    site.followed()
    site.configure("[replicate]", "idle_close_seconds = 3600", "heartbeat_seconds = 0.1")
    two = real.with_name("two.db")
    with Daemon(load_config(site.config_file)) as daemon:
        site.sql("INSERT INTO t VALUES (1, 'through the link')")
        asyncio.run(wait_for(lambda: value(site.dsn, "SELECT 1 FROM t WHERE id = 1"), "the row", daemon=daemon))
        shutil.copyfile(real, two)
        swap(site, two)
        assert daemon.wait() == ExitCode.CRITICAL
        assert "another file was moved over" in daemon.words()


def test_a_link_that_leads_elsewhere_counts_as_a_change_of_the_file(site: Installation) -> None:
    """So a file that was let go as idle is looked at again, although nothing happened to the old one."""
    real = link(site)
    watch = Watch(site.database)
    watch.changed()
    assert not watch.changed()
    shutil.copy2(real, real.with_name("two.db"))
    swap(site, real.with_name("two.db"))
    assert watch.changed()


def test_the_unit_may_write_where_the_file_is_and_see_where_the_link_is(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = link(site)
    monkeypatch.setattr("cdc.daemon.unit._PRIVATE", (site.folder,))
    shared = render(installation(load_config(site.config_file), site.config_file, None, None))
    assert f"BindPaths={real.parent}" in shared
    assert f"BindReadOnlyPaths={site.folder}\n" in shared
    monkeypatch.setattr("cdc.daemon.unit._PRIVATE", ())
    assert str(real.parent) in render(installation(load_config(site.config_file), site.config_file, None, None))
    assert os.path.islink(site.database)  # noqa: PTH114 (it was not followed)
