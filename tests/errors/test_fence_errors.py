"""What the fence in the SQLite file refuses; each step is given as the program gives it, with no command around it."""

from collections.abc import Callable

import apsw
import pytest
from error_assertions import logged
from installation import Installation

from cdc.config import Config, load_config
from cdc.errors import CdcError
from cdc.sqlite.fence import fence


def fenced(site: Installation, *sections: str) -> Config:
    site.configure(*sections)
    site.capture()
    config = load_config(site.config_file)
    fence.install(config)
    return config


def refused(template: str, step: Callable[[], object]) -> None:
    with pytest.raises(CdcError) as told:
        step()
    logged({"error": told.value.message, "remedy": told.value.remedy}, template)


def test_a_table_that_came_after_it(cut_off: Installation) -> None:
    config = fenced(cut_off)
    cut_off.sql("CREATE TABLE late(a)")
    refused("tables of {path} have no fence: {lacking}", lambda: fence.raise_for(config, 60))


def test_a_writer_that_does_not_end(cut_off: Installation) -> None:
    config = fenced(cut_off, "[source]", f'path = "{cut_off.database}"', "busy_timeout_seconds = 0.05")
    writer = apsw.Connection(str(cut_off.database))
    writer.execute("BEGIN IMMEDIATE")
    template = "{what}: {holder} keeps a transaction on {path} open, for longer than {seconds} s"
    refused(template, lambda: fence.raise_for(config, 60))
    writer.close()


def test_one_that_lifted_itself_is_not_kept(cut_off: Installation) -> None:
    config = fenced(cut_off)
    end = fence.raise_for(config, 60).end
    cut_off.sql("UPDATE _cdc_state SET fenced = CURRENT_TIMESTAMP")
    template = "the fence around {path} lifted itself before it was kept: its time was over"
    refused(template, lambda: fence.keep(config, end))


def test_one_that_was_written_behind_is_not_kept(cut_off: Installation) -> None:
    config = fenced(cut_off)
    end = fence.raise_for(config, 60).end
    fence.lift(config)
    cut_off.sql("INSERT INTO t VALUES (1, 'written')")
    fence.raise_for(config, 60)
    template = "{path} was written to since: its changelog does not end at number {seq} any more"
    refused(template, lambda: fence.keep(config, end))


def test_one_that_is_kept_is_not_raised_for_a_while(cut_off: Installation) -> None:
    config = fenced(cut_off)
    fence.keep(config, fence.raise_for(config, 60).end)
    template = "writes to {path} are refused for good already: its application has moved"
    refused(template, lambda: fence.raise_for(config, 60))
