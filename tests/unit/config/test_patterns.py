"""Which sections of the configuration a table goes by: its own, and those whose names are patterns."""

import pytest
from small_tables import config, number, table, text

from cdc.config.patterns import is_pattern, names, nearest_first
from cdc.errors import MappingError
from cdc.facts.source_schema import LeftOut, SourceSchema, Table
from cdc.mapping.map_tables import map_table
from cdc.mapping.unmatched import unmatched


def told(schema: SourceSchema, **sections: object) -> list[tuple[str, str]]:
    return [(risk.table, risk.column) for risk in unmatched(schema, config(**sections))]  # type: ignore[arg-type]


def test_letter_case_does_not_matter_and_a_name_means_itself_whatever_is_in_it() -> None:
    assert names("LOG_*", "log_a")
    assert names("a[1]", "A[1]")
    assert names("a[1]", "a1")
    assert not names("log_?", "log_ab")
    assert [is_pattern(name) for name in ("a", "a*", "a?", "a[b]", "a]")] == [False, True, True, True, False]


def test_the_nearest_is_the_name_itself_then_the_pattern_with_most_letters() -> None:
    given = ["*", "log_*", "Log_Web", "log_w??", "other"]
    assert nearest_first(given, "log_web") == ["Log_Web", "log_w??", "log_*", "*"]
    assert nearest_first(["[a-z]og_web", "log_w*"], "log_web") == ["[a-z]og_web", "log_w*"]


def test_a_key_is_taken_from_the_nearest_section_that_has_it() -> None:
    found = config(
        {
            "log_*": {
                "skip": ["a"],
                "key": "rowid",
                "columns": {"at": {"format": "epoch s"}, "n": {"type": "numeric"}},
            },
            "log_w*": {"skip": ["b"]},
            "log_web": {"target": "web", "columns": {"AT": {"format": "epoch ms"}}},
        }
    ).options("LOG_WEB")
    assert (found.target, found.skip, found.key) == ("web", ["b"], "rowid")
    assert {name: (c.format, c.type) for name, c in found.columns.items()} == {
        "AT": ("epoch ms", None),
        "n": (None, "numeric"),
    }


def test_a_table_that_no_section_means_has_no_options() -> None:
    assert config({"log_*": {"skip": ["a"]}}).options("blog_a") == config().options("blog_a")


def mapped_columns(source: Table, **pattern: object) -> dict[str, str]:
    found = map_table(source, config({"l*": pattern}))
    return {column.target: column.type for column in found.columns}


def test_what_a_pattern_says_of_a_column_concerns_the_tables_that_have_it() -> None:
    says = {"columns": {"n": {"type": "numeric"}, "tenant": {"expression": "'a'"}}, "skip": ["t"]}
    assert mapped_columns(table("log", number("n"), text("t")), **says) == {
        "id": "bigint",
        "n": "numeric",
        "tenant": "text",
    }
    assert mapped_columns(table("lag", text("title")), **says) == {"id": "bigint", "title": "text", "tenant": "text"}


def test_a_pattern_cannot_take_a_key_away_either() -> None:
    with pytest.raises(MappingError, match="skips id, which identifies the rows"):
        map_table(table("log"), config({"l*": {"skip": ["id"]}}))


# --- what means nothing -----------------------------------------------------------------------------------------------

FILE = SourceSchema((table("photos", text("title")), table("log_a", text("t"))), (LeftOut("secret", "table", ""),))


def test_every_name_and_pattern_that_means_nothing_is_told() -> None:
    replicate = {"tables": ["*", "video*"], "exclude": ["secret", "cache", "tmp_*", "log_?"]}
    sections: dict[str, object] = {"log_*": {}, "x_*": {}, "PHOTOS": {}}
    assert told(FILE, replicate=replicate, tables=sections) == [
        ("video*", ""),
        ("cache", ""),
        ("tmp_*", ""),
        ("x_*", ""),
    ]


def test_so_is_a_column_that_no_table_has_which_its_pattern_means() -> None:
    says = {"skip": ["t", "u"], "columns": {"v": {"type": "text"}, "w": {"expression": "1"}, "T": {"type": "text"}}}
    assert told(FILE, tables={"log_*": says, "photos": {"skip": ["u"]}}) == [("log_*", "u"), ("log_*", "v")]


def test_nothing_is_told_of_what_means_something() -> None:
    assert told(FILE, replicate={"exclude": ["SECRET", "log_*"]}, tables={"p*": {"skip": ["title"]}}) == []
