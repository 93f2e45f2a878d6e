"""Two answers compared: status, headers, and the body by what it is: JSON, HTML, text, or bytes."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cdc.config import ShadowRule
from cdc.facts.secret_names import MASKED
from cdc.facts.shadow import Difference, Verdict
from cdc.shadow import compare_html
from cdc.shadow.compare_json import MOST_DIFFERENCES, JsonComparison, decode
from cdc.shadow.http_answer import SECRET_HEADERS, HttpAnswer, parsed_type
from cdc.shadow.http_rules import EndpointRules, Rules, reasons
from cdc.shadow.scalar_readings import read_alike

BODY: Final = "body"
_UTF_8: Final = "utf-8"
_HTML: Final = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True, slots=True)
class Compared:
    """`EQUAL`, `IGNORED` or `DIFFERENT`; `rules` are the reasons of those that were used."""

    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    rules: tuple[str, ...] = ()


@dataclass(slots=True)
class _Findings:
    differences: list[Difference] = field(default_factory=list)
    used: list[ShadowRule] = field(default_factory=list)

    def compared(self) -> Compared:
        """The verdict on all that was found."""
        verdict = Verdict.DIFFERENT if self.differences else Verdict.IGNORED if self.used else Verdict.EQUAL
        return Compared(verdict, tuple(self.differences[:MOST_DIFFERENCES]), reasons(self.used))


def compare(endpoint: str, baseline: HttpAnswer, candidate: HttpAnswer, rules: Rules) -> Compared:
    """Whether two answers of an endpoint mean the same."""
    own = rules.for_answers(endpoint, baseline.status)
    findings = _Findings()
    if baseline.status != candidate.status:
        findings.differences.append(Difference("status", str(baseline.status), str(candidate.status)))
        return findings.compared()
    _compare_headers(baseline, candidate, own, findings)
    if baseline.body != candidate.body:
        _compare_bodies(baseline, candidate, own, findings)
    if findings.differences and own.of_status:
        return Compared(Verdict.IGNORED, rules=reasons([own.of_status]))
    return findings.compared()


def _compare_headers(baseline: HttpAnswer, candidate: HttpAnswer, rules: EndpointRules, findings: _Findings) -> None:
    for name in sorted(rules.compared_headers):
        ours, theirs = baseline.header(name), candidate.header(name)
        if ours == theirs or (name == "content-type" and _type(ours) == _type(theirs)):
            continue
        meant = [r for r in rules.of_header(name) if r.read in ("ignored", "one-sided") or read_alike(r, ours, theirs)]
        if meant:
            findings.used.append(meant[0])
        else:
            findings.differences.append(Difference(name, _header_shown(name, ours), _header_shown(name, theirs)))


def _type(value: str | None) -> tuple[str, str | None]:
    media_type, charset = parsed_type(value or "")
    return media_type, (charset or _UTF_8) if _is_json(media_type) else charset  # JSON is UTF-8 by its standard


def _header_shown(name: str, value: str | None) -> str | None:
    return MASKED if value is not None and name in SECRET_HEADERS else value


def _compare_bodies(baseline: HttpAnswer, candidate: HttpAnswer, rules: EndpointRules, findings: _Findings) -> None:
    if rules.of_body is not None:
        findings.used.append(rules.of_body)
        return
    types = {baseline.media_type, candidate.media_type}
    if all(map(_is_json, types)) and (documents := _read(decode, baseline.body, candidate.body)):
        _compare_json(documents, rules, findings)
    elif len(types) == 1 and types <= set(_HTML) and (texts := _read_texts(baseline, candidate)):
        _compare_html(texts, rules, findings)
    elif all(t.startswith("text/") for t in types) and (texts := _read_texts(baseline, candidate)):
        _compare_json(texts, rules, findings)
    else:
        findings.differences.append(Difference(BODY, _digest(baseline.body), _digest(candidate.body)))


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith("+json")


def _read(reader: Callable[[bytes], Any], *bodies: bytes) -> Sequence[Any]:
    """Both bodies as what they say they are, nothing when one of them is not."""
    try:
        return [reader(body) for body in bodies]
    except (ValueError, RecursionError):
        return ()


def _read_texts(*answers: HttpAnswer) -> Sequence[str]:
    try:
        return [answer.body.decode(answer.charset or _UTF_8) for answer in answers]
    except (ValueError, LookupError):
        return ()


def _compare_json(documents: Sequence[Any], rules: EndpointRules, findings: _Findings) -> None:
    comparison = JsonComparison(rules.at_places(*documents))
    comparison.compare(*documents)
    findings.differences += comparison.differences
    findings.used += comparison.used


def _compare_html(texts: Sequence[str], rules: EndpointRules, findings: _Findings) -> None:
    ours, theirs = (compare_html.page(text)[0] for text in texts)
    if ours == theirs:
        return
    (ours, used), (theirs, also) = (compare_html.page(text, rules.of_html) for text in texts)
    findings.differences += compare_html.differences(ours, theirs)
    findings.used += [*used, *also]


def _digest(body: bytes) -> str:
    return f"{len(body):,} bytes, SHA-256 {hashlib.sha256(body).hexdigest()[:16]}"
