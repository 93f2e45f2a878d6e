"""What the sample computes for the application's tables in Postgres, from rows of every generation of its file."""

import json
from typing import Any

import pytest

from cdc.resources import folder
from cdc.values.user_functions import load


def html(text: str | None, kind: str | None = "audio") -> Any:
    function = load("", folder("ytv2") / "render:html", ["summary_text", "summary_type"])
    return function.call(text, kind)


def analysis(**row: Any) -> Any:
    function = load("", folder("ytv2") / "render:analysis", list(row))
    return json.loads(str(function.call(*row.values())))


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_a_summary_without_a_text_is_not_shown(text: str | None) -> None:
    assert html(text) is None


def test_paragraphs_and_lists_are_kept_and_nothing_in_a_text_is_markup() -> None:
    text = "**One** <b> & two\nthree\n\nA list:\n\u2022 **a**\n  - b"
    assert html(text) == (
        '<div class="summary audio"><p><strong>One</strong> &lt;b&gt; &amp; two<br>three</p>'
        "<p>A list:</p><ul><li><strong>a</strong></li><li>b</li></ul></div>"
    )
    assert html("x", "") == '<div class="summary comprehensive"><p>x</p></div>'


def test_the_columns_win_over_the_analysis_and_its_further_members_are_kept() -> None:
    found = analysis(analysis='{"language": "fr", "schema_version": 2}', language="es", has_transcript=1, word_count=7)
    assert (found["language"], found["schema_version"]) == ("es", 2)
    assert (found["has_transcript"], found["word_count"]) == (True, 7)


@pytest.mark.parametrize("topics", [None, "", "a, b", '{"a": 1}', "7"])
def test_what_is_no_list_becomes_an_empty_one(topics: str | None) -> None:
    assert analysis(key_topics=topics)["key_topics"] == []


def test_categories_are_made_of_two_columns_where_there_is_no_document_of_them() -> None:
    columns = {"category": '["News", "History"]', "subcategory": "Politics"}
    made = [{"category": name, "subcategories": ["Politics"]} for name in ("News", "History")]
    assert analysis(**columns, subcategories_json=None)["categories"] == made
    assert analysis(**columns)["categories"] == made
    assert analysis(category='["News"]', subcategory=None)["categories"] == [{"category": "News", "subcategories": []}]
    assert "categories" not in analysis(**columns, subcategories_json='{"categories": []}')


def test_a_file_that_has_none_of_it_gets_a_document_all_the_same() -> None:
    found = analysis(id="yt:a")
    assert (found["language"], found["content_type"], found["has_transcript"]) == ("en", None, False)
