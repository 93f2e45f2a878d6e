"""How loudly it is told that rows came back: where SQLite gives numbers once more, nothing is wrong."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from loguru import logger
from small_tables import config, mapped, table

from cdc.config import StateSection
from cdc.facts.changes import AppliedBatch, TableTally
from cdc.facts.source_schema import Key, KeyKind
from cdc.tombstones.returns import Returns

BY_NUMBER = table("numbered")
COUNTED_ON = replace(table("counted_on"), autoincrement=True)
BY_NAME = replace(table("named"), key=Key(KeyKind.COLUMNS, ("id",)))


@pytest.fixture
def told() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    logger.add(lambda message: found.append((message.record["extra"]["table"], message.record["level"].name)))
    return found


def test_numbers_that_sqlite_gives_once_more_are_no_warning(tmp_path: Path, told: list[tuple[str, str]]) -> None:
    chosen = msgspec.structs.replace(config(), state=StateSection(dir=tmp_path))
    tables = (BY_NUMBER, COUNTED_ON, BY_NAME)
    returns = Returns(chosen, [mapped(source) for source in tables])
    returns.note(AppliedBatch(8, 9, 1, {s.name: TableTally(0, 0, 0, returned=1) for s in tables}, 0.1))
    assert sorted(told) == [("counted_on", "WARNING"), ("named", "WARNING"), ("numbered", "INFO")]
