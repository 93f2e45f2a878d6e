"""Keys added to the text of a configuration; every other byte of it, comments too, stays as it was.

Where a line may stand is guessed, and TOML's own reader judges each guess: a text is given back only when it says what
the old one said and the new keys, nothing more and nothing less.
"""

import tomllib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, Final

from cdc.sql_names import heading, toml_text

_INDENT: Final = "    "


def with_lines(text: str, section: Sequence[str], lines: Sequence[str]) -> str:
    """The text with `lines`, each `key = value`, in the section of these names; one that is missing is appended.

    A proposal that stands there as a comment, heading and lines as they are here, loses its marks instead. A list that
    has the key already grows by the elements that it lacks. Raises `ValueError` when the text is no TOML, when a key
    has another value there, and when there is no line for it, as in a section that is written as an inline table.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    wanted = merged_document(tomllib.loads(text), section, tomllib.loads("\n".join(lines)))
    if tomllib.loads(text) == wanted:
        return text
    for candidate in _candidates(text.splitlines(keepends=True), section, lines, newline):
        if _says(candidate, wanted):
            return candidate
    raise ValueError(f"there is no line for {', '.join(lines)} in {heading(*section)}")


def merged_document(document: dict[str, Any], section: Sequence[str], keys: dict[str, Any]) -> dict[str, Any]:
    """What a document says once these keys are in that section; raises `ValueError` as `with_lines` does."""
    merged = deepcopy(document)
    inner = merged
    for name in section:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ValueError(f"{name} is no section in {heading(*section)}")  # noqa: TRY004 (what is wrong is a text)
    for key, value in keys.items():
        found = inner.get(key, value)
        if isinstance(found, list) and isinstance(value, list):
            inner[key] = [*found, *(each for each in value if each not in found)] if key in inner else value
        elif found != value:
            raise ValueError(f"{key} has another value in {heading(*section)}")
        else:
            inner[key] = value
    return merged


def _says(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        return False


# --- guesses ----------------------------------------------------------------------------------------------------------


def _candidates(old: list[str], section: Sequence[str], lines: Sequence[str], newline: str) -> Iterator[str]:
    """Texts that may say it, the best first."""
    yield from _uncommented(old, section, lines)
    for start in (n + 1 for n, line in enumerate(old) if _names_of(line) == tuple(section)):
        end = next((n for n in range(start, len(old)) if _names_of(old[n]) is not None), len(old))
        for body in _longer(old[start:end], lines, newline):
            yield "".join([*old[: start - 1], _ended(old[start - 1], newline), *body, *old[end:]])
    whole = [*old[:-1], _ended(old[-1], newline)] if old else []
    gap = [newline] if whole and whole[-1].strip() else []
    yield "".join([*whole, *gap, heading(*section) + newline, *(line + newline for line in lines)])


def _uncommented(old: list[str], section: Sequence[str], lines: Sequence[str]) -> Iterator[str]:
    """The text without the marks of a commented section that holds just these lines, each as written or explained."""
    for start, line in enumerate(old):
        block = old[start : start + 1 + len(lines)]
        if line.rstrip() == f"# {heading(*section)}" and all(map(_is_comment_of, block[1:], lines)):
            bare = [commented.removeprefix("# ") for commented in block]
            yield "".join([*old[:start], *bare, *old[start + len(block) :]])


def _is_comment_of(commented: str, line: str) -> bool:
    rest = commented.removeprefix(f"# {line}").strip()
    return commented.startswith(f"# {line}") and (not rest or rest.startswith("#"))


def _longer(body: list[str], lines: Sequence[str], newline: str) -> Iterator[list[str]]:
    """What stands below a heading, with lists that have grown, and the other lines at its end."""
    added = [line + newline for line in lines if _place_of(body, line) is None]
    bodies = [body]
    for line in (line for line in lines if _place_of(body, line) is not None):
        bodies = [grown for each in bodies for grown in _grown(each, line)]
    for each in bodies:
        last = max((n + 1 for n, line in enumerate(each) if _is_key(line)), default=0)
        for place in (last, 0):  # before all else where the end lies within something of several lines
            before = [*each[: place - 1], _ended(each[place - 1], newline)] if place else []
            yield [*before, *added, *each[place:]]


def _grown(body: list[str], line: str) -> Iterator[list[str]]:
    """The lines with what the list of the same key lacks, before any bracket that may close it."""
    ((key, wanted),) = tomllib.loads(line).items()
    place = _place_of(body, line)
    stops = range((place or 0) + 1, len(body) + 1)
    found = next((stop for stop in stops if key in _document("".join(body[place:stop]))), None)
    if place is None or found is None:
        return
    span = "".join(body[place:found])
    has = _document(span)[key]
    if has == wanted or not isinstance(has, list):
        yield body
        return
    lacking = ", ".join(toml_text(str(each)) for each in wanted if each not in has)
    if not lacking:
        yield body
    for at in (n for n in range(len(span) - 1, -1, -1) if span[n] == "]"):
        kept = span[:at].rstrip()
        blank = span[len(kept) : at]
        for joint in (
            "" if kept.endswith("[") else ", ",
            " ",
            f"\n{_INDENT}",
            f"\n{_INDENT}, ",
        ):  # the last two after a comment
            yield [*body[:place], f"{kept}{joint}{lacking}{blank}{span[at:]}", *body[found:]]


def _place_of(body: list[str], line: str) -> int | None:
    """At which line the key of `line` has its value, None where it has none."""
    key = next(iter(tomllib.loads(line)))
    for place, each in enumerate(body):
        name, sign, _ = each.partition("=")
        if sign and key in _document(f"{name.strip()} = 0"):
            return place
    return None


def _document(text: str) -> dict[str, Any]:
    """What a part of the text says by itself, nothing where it is not whole."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def _names_of(line: str) -> tuple[str, ...] | None:
    """The names of the section that a line begins, empty for one of a list of sections, None for any other line."""
    if not line.lstrip().startswith("["):
        return None
    inner: Any = _document(line)
    if not inner:
        return None
    names: list[str] = []
    while isinstance(inner, dict) and inner:
        (name, inner), *_ = inner.items()
        names.append(name)
    return () if isinstance(inner, list) else tuple(names)


def _is_key(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _ended(line: str, newline: str) -> str:
    return line if line.endswith("\n") else line + newline
