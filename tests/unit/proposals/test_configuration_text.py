"""The text of a first configuration says what was found, whatever names of users are in it."""

import tomllib

import pytest

from cdc.config import decode_config
from cdc.proposals.block import FORMATS, TARGET, Block, Exclusion, Found, column_section
from cdc.proposals.document import Route, bare, written

ROUTE = Route("app.db", "postgresql://h/d", "public")
NAMES = ["plain", 'a "quoted" one', "line\nend", "]", "# no comment", "\x7f\u2028", "é.b"]


def test_a_bare_one_has_what_is_required_and_no_more() -> None:
    said = tomllib.loads(bare(ROUTE))
    assert said["source"] == {"path": "app.db"}
    assert said["target"] == {"dsn": "postgresql://h/d", "schema": "public"}
    assert said["replicate"] == {"tables": ["*"], "exclude": []}
    assert set(said) == {"source", "target", "state", "replicate"}
    decode_config(said)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_decided_takes_effect_and_what_is_a_choice_does_not(name: str) -> None:
    blocks = (
        Block(column_section(name, name), ('type = "numeric"',), f"why of {name}"),
        Block(column_section(name, "c"), ('type = "jsonb"',), f"why of {name}", choice=True),
    )
    exclusions = (Exclusion(name, 1, f"why {name}"), Exclusion("choice", 1000, f"why {name}", choice=True))
    text = written(ROUTE, Found(1, 2, exclusions, blocks, (f"look at {name}",), (f"know {name}",)))
    said = tomllib.loads(text)
    assert said["tables"] == {name: {"columns": {name: {"type": "numeric"}}}}
    assert said["replicate"]["exclude"] == [name]
    assert '    # "choice",  # 1,000 rows: why' in text
    decode_config(said)


def test_sections_come_once_and_a_choice_in_one_that_is_there_has_no_heading() -> None:
    section = column_section("t", "c")
    blocks = (
        Block(section, ('format = "uuid"',), "one"),
        Block(TARGET, ('existing_rows = "replace"',), "rows", choice=True),
        Block(section, ('on_invalid = "null"',), "two", choice=True),
        Block(FORMATS, ('uuid = "uuid"',), "three", choice=True),
    )
    text = written(ROUTE, Found(1, 1, (), blocks))
    assert '# one.\n[tables.t.columns.c]\nformat = "uuid"\n# two\n# on_invalid = "null"\n' in text.replace(
        "# one\n", "# one.\n"
    )
    assert 'schema = "public"\n# rows\n# existing_rows = "replace"\n\n[state]' in text
    assert '# three\n# [formats]\n# uuid = "uuid"\n' in text


def test_adoption_and_the_counts_are_told() -> None:
    text = written(Route("app.db", "postgresql://h/d", "public", adopt=True), Found(1200, 3_400_000))
    assert tomllib.loads(text)["target"]["adopt"] is True
    assert "1,200 tables, 3,400,000 rows" in text
