"""Two pages of HTML compared as trees: blanks, comments, and the order of attributes and classes mean nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from cdc.config import ShadowRule
from cdc.facts.shadow import Difference
from cdc.shadow.causes import explain
from cdc.shadow.compare_json import MOST_DIFFERENCES, MOST_TEXT

_TEXT: Final = "-text"
_AS_WRITTEN: Final = frozenset({"pre", "textarea", "script", "style"})  # blanks in them are content


@dataclass(frozen=True, slots=True)
class Element:
    """An element, or a text, whose `tag` is empty then."""

    tag: str
    attributes: tuple[tuple[str, str], ...] = ()
    text: str = ""
    children: tuple["Element", ...] = ()


def page(text: str, ignored: Sequence[ShadowRule] = ()) -> tuple[Element, list[ShadowRule]]:
    """The tree of a page without what rules ignore, and the rules that found something."""
    parser = LexborHTMLParser(text)
    used = [rule for rule in ignored if _taken_out(parser, rule.path)]
    root = parser.root
    return Element("html") if root is None else _element(root, as_written=False), used


def _taken_out(parser: LexborHTMLParser, selector: str) -> bool:
    found = parser.css(selector)
    for node in found:
        node.decompose()
    return bool(found)


def _element(node: LexborNode, *, as_written: bool) -> Element:
    as_written = as_written or node.tag in _AS_WRITTEN
    attributes = sorted((name, _value(name, value)) for name, value in node.attributes.items())
    children: list[Element] = []
    for child in node.iter(include_text=True):
        if child.tag == _TEXT:
            text = child.text_content or ""
            words = text if as_written else " ".join(text.split())
            # What stood between two texts is gone, and so they are one.
            if words and children and not children[-1].tag:
                children[-1] = Element("", text=f"{children[-1].text} {words}")
            elif words:
                children.append(Element("", text=words))
        elif not (child.tag or "").startswith(("-", "!")):
            children.append(_element(child, as_written=as_written))
    return Element(node.tag or "", tuple(attributes), children=tuple(children))


def _value(name: str, value: str | None) -> str:
    return " ".join(sorted(set((value or "").split()))) if name == "class" else value or ""


def differences(baseline: Element, candidate: Element) -> list[Difference]:
    """The smallest places where two trees differ, each by a CSS path."""
    found: list[Difference] = []
    _compare(baseline, candidate, baseline.tag, found)
    return found


def _compare(baseline: Element, candidate: Element, path: str, found: list[Difference]) -> None:
    if baseline == candidate or len(found) >= MOST_DIFFERENCES:
        return
    if baseline.tag != candidate.tag or not baseline.tag:
        cause = "" if baseline.tag or candidate.tag else explain(baseline.text, candidate.text)
        found.append(Difference(path, _shown(baseline), _shown(candidate), cause))
        return
    ours, theirs = dict(baseline.attributes), dict(candidate.attributes)
    names = [name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
    found += [Difference(f"{path}[{name}]", ours.get(name), theirs.get(name)) for name in names]
    place = 0  # among the elements: texts have no number in CSS
    for own, other in zip_longest(baseline.children, candidate.children):
        either = own or other
        place += bool(either.tag)
        inner = f"{path} > {either.tag}:nth-child({place})" if either.tag else path
        if own is None or other is None:
            found.append(Difference(inner, _shown(own), _shown(other)))
        else:
            _compare(own, other, inner, found)


def _shown(element: Element | None) -> str | None:
    if element is None:
        return None
    if not element.tag:
        return element.text[:MOST_TEXT]
    attributes = "".join(f' {name}="{value}"' for name, value in element.attributes)
    words = " ".join(_words(element))
    return f"<{element.tag}{attributes}>{words}"[:MOST_TEXT]


def _words(element: Element) -> list[str]:
    return [element.text] if not element.tag else [word for child in element.children for word in _words(child)]
