"""Answers of HTTP compared: status and headers, pages as trees, everything else by its bytes."""

import gzip
import zlib

import pytest

from cdc.config import ShadowRule, ShadowSection
from cdc.errors import ConfigError
from cdc.facts.shadow import Difference, Verdict
from cdc.shadow.compare_http import Compared, compare
from cdc.shadow.http_answer import LARGEST_BODY, HttpAnswer, as_compared
from cdc.shadow.http_rules import Rules

JSON = "application/json"


def answer(body: str | bytes = b"", kind: str = "text/html", status: int = 200, **headers: str) -> HttpAnswer:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return HttpAnswer(status, (("Content-Type", kind), *named), body.encode() if isinstance(body, str) else body)


def compared(
    baseline: HttpAnswer, candidate: HttpAnswer, *rules: ShadowRule, headers: str = "content-type"
) -> Compared:
    return compare("GET /a", baseline, candidate, Rules(rules, frozenset(headers.split())))


def test_another_status_is_the_only_difference() -> None:
    found = compared(answer("[]", JSON), answer("oops", "text/plain", status=500))
    assert found == Compared(Verdict.DIFFERENT, (Difference("status", "200", "500"),))


def test_answers_of_a_status_can_be_alike_whatever_their_words() -> None:
    rule = ShadowRule("status", status=404, reason="other words")
    ours, theirs = (answer(f'"{word}"', JSON, status=404) for word in "ab")
    assert compared(ours, theirs).verdict is Verdict.DIFFERENT
    assert compared(ours, theirs, rule) == Compared(Verdict.IGNORED, rules=("other words",))
    assert compared(answer('"a"', JSON), answer('"b"', JSON), rule).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize(
    ("baseline", "candidate", "verdict"),
    [
        ("application/json", "Application/JSON; charset=UTF-8", Verdict.EQUAL),
        ("text/plain; charset=utf-8", 'text/plain;charset="UTF-8"', Verdict.EQUAL),
        ("text/plain; charset=utf-8", "text/plain", Verdict.DIFFERENT),
        ("application/json", "text/html", Verdict.DIFFERENT),
    ],
)
def test_a_content_type_is_its_media_type_and_charset(baseline: str, candidate: str, verdict: Verdict) -> None:
    assert compared(answer("[]", baseline), answer("[]", candidate)).verdict is verdict


def test_a_named_header_is_compared_and_its_secret_is_never_shown() -> None:
    ours, theirs = answer(set_cookie="a=1", x_other="1"), answer(set_cookie="a=2", x_other="2")
    found = compared(ours, theirs, headers="set-cookie")
    assert found.differences == (Difference("set-cookie", "***", "***"),)
    rule = ShadowRule("ignored", path="Set-Cookie")
    assert compared(ours, theirs, rule, headers="set-cookie").verdict is Verdict.IGNORED


def test_a_page_is_its_tree() -> None:
    ours = "<p class='b a' id=x>one <b>two</b></p><!-- drawn at 12:00 -->"
    theirs = '<p id="x" class="a b">\n  one\n  <b>two</b>\n</p>'
    assert compared(answer(ours), answer(theirs)) == Compared(Verdict.EQUAL)


@pytest.mark.parametrize(
    ("candidate", "difference"),
    [
        (
            "<ul><li>a<li>c</ul>",
            Difference("html > body:nth-child(2) > ul:nth-child(1) > li:nth-child(2)", "b", "c", "changed value"),
        ),
        (
            "<ul class=x><li>a<li>b</ul>",
            Difference("html > body:nth-child(2) > ul:nth-child(1)[class]", None, "x"),
        ),
        ("<ul><li>a</ul>", Difference("html > body:nth-child(2) > ul:nth-child(1) > li:nth-child(2)", "<li>b", None)),
    ],
)
def test_what_differs_in_a_page_has_a_place_in_css(candidate: str, difference: Difference) -> None:
    assert compared(answer("<ul><li>a<li>b</ul>"), answer(candidate)).differences == (difference,)


def test_elements_are_ignored_by_a_selector_alone() -> None:
    ours, theirs = (f"<form><input name=csrf value={n}><input name=q></form>" for n in (1, 2))
    rule = ShadowRule("ignored", path="input[name=csrf]", reason="drawn by chance")
    assert compared(answer(ours), answer(theirs)).verdict is Verdict.DIFFERENT
    assert compared(answer(ours), answer(theirs), rule) == Compared(Verdict.IGNORED, rules=("drawn by chance",))
    assert compared(answer(ours), answer(theirs + "<p>new"), rule).verdict is Verdict.DIFFERENT


def test_a_text_can_be_read_without_its_blanks() -> None:
    ours, theirs = answer("a  b", "text/plain"), answer("a b\n", "text/plain")
    assert compared(ours, theirs).differences == (Difference("$", '"a  b"', '"a b\\n"', "blanks"),)
    assert compared(ours, theirs, ShadowRule("text")).verdict is Verdict.IGNORED


def test_the_rest_is_compared_by_its_bytes() -> None:
    ours, theirs = answer(b"\x00\x01", "image/png"), answer(b"\x00\x02", "image/png")
    assert compared(ours, ours).verdict is Verdict.EQUAL
    (difference,) = compared(ours, theirs).differences
    assert (difference.path, difference.baseline) == ("body", "2 bytes, SHA-256 b413f47d13ee2fe6")
    assert compared(ours, theirs, ShadowRule("ignored")).verdict is Verdict.IGNORED


def test_what_calls_itself_json_and_is_not_is_compared_by_its_bytes() -> None:
    assert compared(answer("{", JSON), answer("{", JSON)).verdict is Verdict.EQUAL
    assert [d.path for d in compared(answer("{", JSON), answer("[", JSON)).differences] == ["body"]


def test_an_answer_of_the_wire_is_decoded_and_forgets_its_side() -> None:
    headers = [("Content-Encoding", "gzip"), ("Location", "http://a:1/base/next?x=1")]
    taken = as_compared(302, headers, gzip.compress(b"hello"), "http://a:1/base/")
    assert (taken.body, taken.header("location")) == (b"hello", "/next?x=1")
    assert as_compared(200, [("location", "http://a:10/")], b"", "http://a:1").header("location") == "http://a:10/"
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = raw.compress(b"hello") + raw.flush()
    assert as_compared(200, [("content-encoding", "deflate")], deflated, "http://a").body == b"hello"
    assert as_compared(200, [("content-encoding", "deflate")], zlib.compress(b"hi"), "http://a").body == b"hi"


def test_a_body_that_is_not_what_it_says_or_too_large_is_refused() -> None:
    for encoding, body in (("gzip", b"no"), ("br", b"x"), ("gzip", gzip.compress(bytes(LARGEST_BODY + 1)))):
        with pytest.raises(ValueError, match=r"body|encoded"):
            as_compared(200, [("content-encoding", encoding)], body, "http://a")


@pytest.mark.parametrize("path", ["$.items[", "[["])
def test_a_path_that_is_none_is_refused_before_anything_is_asked(path: str) -> None:
    with pytest.raises(ConfigError):
        Rules.of(ShadowSection(rules=[ShadowRule("ignored", path=path)]))
