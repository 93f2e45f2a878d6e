"""The seal and the page: one byte anywhere is noticed, what users wrote stays text, and a forged report is told."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from made_facts import WHOLE, comparison, entry, facts, held

from cdc.audit.chain import AuditEntry
from cdc.audit.check import Break
from cdc.errors import ExitCode
from cdc.report.document import make_document
from cdc.report.facts import AuditFacts, KeptFacts, RowsFacts, RowsInBoth
from cdc.report.page import make_page
from cdc.report.seal import canonical, document_sha256, read_sealed, seal_document, seal_page
from cdc.report.verify import judge

NASTY = "<script>alert(1)</script>\"'&<!-- -->"
DOCUMENT = make_document(facts())
PAGE = seal_page(make_page(DOCUMENT))
JSON = seal_document(DOCUMENT)


def known(page: bytes = PAGE) -> AuditFacts:
    """A trail with the entry that was written with the page."""
    hashes = {"document": document_sha256(DOCUMENT), "page": read_sealed(page).sha256}
    entries: tuple[AuditEntry, ...] = (entry(1, "report", **hashes),)
    return AuditFacts(entries, file=WHOLE)


@pytest.mark.parametrize("data", [PAGE, JSON], ids=["page", "json"])
def test_a_report_is_intact_and_known_or_known_to_nobody(data: bytes) -> None:
    assert judge(data, known()).exit_code is ExitCode.OK
    told = judge(data, AuditFacts(file=WHOLE))
    assert (told.intact, told.known, told.exit_code) == (True, None, ExitCode.DIFFERENCE)
    assert "what its document says" in told.shown
    broken = replace(known(), file=replace(WHOLE, breaks=(Break("line 2 is missing"),)))
    assert judge(data, broken).exit_code is ExitCode.DIFFERENCE


@pytest.mark.parametrize("data", [PAGE, JSON], ids=["page", "json"])
def test_one_byte_anywhere_breaks_it(data: bytes) -> None:
    places = {*range(0, len(data), 97), *range(len(data) - 100, len(data)), data.index(b"op@host")}
    for place in sorted(places):
        changed = bytearray(data)
        changed[place] ^= 1
        told = judge(bytes(changed), known())
        assert told.exit_code is ExitCode.CRITICAL, f"byte {place}: {data[place - 20 : place + 20]!r}"
        assert told.why
    for changed_length in (data[:-1], data + b"\n", data[1:], b"", b"{}", b"<p>"):
        assert judge(changed_length, known()).exit_code is ExitCode.CRITICAL


def test_a_page_that_was_changed_and_sealed_anew_is_forged() -> None:
    changed = make_page(DOCUMENT).replace("<strong>SQLite</strong>", "<strong>Postgres</strong>")
    assert changed != make_page(DOCUMENT)
    told = judge(seal_page(changed), known())
    assert (told.file.intact, told.exit_code) == (True, ExitCode.CRITICAL)
    assert "another page" in told.why
    stranger = judge(seal_page(changed), AuditFacts(file=WHOLE))
    assert stranger.exit_code is ExitCode.CRITICAL
    assert stranger.why == "what it shows is not what its document says"
    other = judge(
        seal_page(make_page({**DOCUMENT, "decision": {**DOCUMENT["decision"], "verdict": "READY?"}})), known()
    )
    assert (other.known, other.exit_code) == (None, ExitCode.DIFFERENCE)
    assert judge(seal_document({**DOCUMENT, "kind": "novel"}), known()).exit_code is ExitCode.CRITICAL
    shapeless = {"kind": DOCUMENT["kind"], "form": DOCUMENT["form"], "made": DOCUMENT["made"]}
    page = make_page(DOCUMENT).replace(read_text(PAGE), read_text(seal_page(scripted(shapeless))))
    assert judge(seal_page(page), AuditFacts()).why == "its document cannot be shown"


def scripted(document: dict[str, object]) -> str:
    return f'<script type="application/json" id="document">{canonical(document)}</script>'


def read_text(page: bytes) -> str:
    found = re.search(r'<script type="application/json" id="document">.*?</script>', page.decode(), re.DOTALL)
    assert found
    return found[0]


def test_what_another_version_made_is_not_compared_but_still_known() -> None:
    older = {**DOCUMENT, "made": {**DOCUMENT["made"], "cdc": "0.0.1"}}
    data = seal_page(make_page(older))
    told = judge(data, AuditFacts())
    assert told.intact
    assert told.shown.startswith("not compared with its document: cdc 0.0.1 made it")


class Tags(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


def test_what_users_wrote_is_text_on_the_page() -> None:
    plain = parsed(make_page(DOCUMENT))
    nasty = facts(
        schema=NASTY,
        rows=RowsFacts((RowsInBoth(NASTY, NASTY, 3, 2, 0),), one_position=True),
        kept=KeptFacts((comparison(1, "different", NASTY),), quarantine=(held(NASTY, NASTY, NASTY),)),
        audit=AuditFacts((entry(1, "load", actor=NASTY, reason=NASTY),)),
    )
    page = make_page(make_document(nasty))
    found = parsed(page)
    assert [tag for tag, _ in found.tags].count("script") == [tag for tag, _ in plain.tags].count("script") == 1
    assert found.text.count("<script>alert(1)</script>") >= 5
    assert page.count("<!--") == 0
    assert judge(seal_page(page), AuditFacts()).intact


def test_the_page_needs_nothing_else_and_is_read_by_everybody() -> None:
    tags = parsed(make_page(DOCUMENT)).tags
    attributes = {name for _, attributes in tags for name in attributes}
    assert not attributes & {"src", "href", "srcset", "style", "onclick"}
    assert all(attributes.get("scope") in {"row", "col"} for tag, attributes in tags if tag == "th")
    assert [tag for tag, _ in tags].count("h1") == 1
    assert "@page" in make_page(DOCUMENT)
    assert document_sha256(DOCUMENT) in make_page(DOCUMENT)
