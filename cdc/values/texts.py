"""Texts with and without a limit, labels of enums, and blobs."""

from collections.abc import Callable, Iterable, Sequence
from types import NoneType
from typing import Final, cast

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import InvalidText, Value
from cdc.values.encoder import BLOBS, TEXTS, Encoder, Kinds, Unfit, expect, singly
from cdc.values.family import Family, Format, PostgresType, Promise, Returning, ValueForm

# --- types ------------------------------------------------------------------------------------------------------------


def _characters(target: TargetColumn, *, padded: bool = False) -> Encoder:
    """Texts of at most `length` characters; Postgres pads those of a `padded` type, so blanks at the end are lost."""
    longest = target.length

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        if not kinds <= TEXTS:
            return None
        texts = cast("Iterable[str]", filter(None, values)) if NoneType in kinds else cast("Sequence[str]", values)
        # Postgres has no text with a NUL in any encoding. One search in all texts is faster than one in each.
        if "\x00" in "".join(texts):
            return None
        return values if longest is None and not padded else limited(values)

    def limited(values: Sequence[Value]) -> Sequence[object] | None:
        texts = cast("list[str]", list(filter(None, values)))
        if longest is not None and max(map(len, texts), default=0) > longest:
            return None
        return None if padded and any(text.endswith(" ") for text in texts) else values

    def scalar(value: Value) -> str:
        text = expect(value, str)
        if "\x00" in text:
            raise Unfit("is a text with a NUL character")
        if longest is not None and len(text) > longest:
            raise Unfit("is a text that is too long")
        if padded and text.endswith(" "):
            raise Unfit("is a text with blanks at its end")
        return text

    limit = "" if longest is None else f" of at most {longest} characters"
    return Encoder(
        f"texts{limit} without NUL characters" + (" and blanks at the end" if padded else ""), column, scalar
    )


def labels(names: Sequence[str]) -> Encoder:
    """The labels of an enum type."""
    allowed = set(names)

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        return values if kinds <= TEXTS and set(values) <= allowed | {None} else None

    def scalar(value: Value) -> str:
        text = expect(value, str)
        if text not in allowed:
            raise Unfit("is a text that is none of its labels")
        return text

    return Encoder("the labels of that enum", column, scalar)


def _blobs(_: TargetColumn) -> Encoder:
    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        return values if kinds <= BLOBS else None

    return Encoder("blobs", column, lambda value: expect(value, bytes))


# Texts of these types come back as they are, but for the blanks that Postgres adds to a padded one.
AS_TEXT: Final = ValueForm("text", "text", lambda text: text)
AS_BLOB: Final = ValueForm("blob", "blob", lambda data: data)
UNPADDED: Final = Returning(lambda text: text, lambda _: (AS_TEXT,))
_PADDED: Final = Returning(lambda text: text.rstrip(" "), lambda _: (AS_TEXT,))
_HEXADECIMAL: Final = Returning(lambda text: bytes.fromhex(text.removeprefix("\\x")), lambda _: (AS_BLOB,))

CHAR: Final = PostgresType(
    "bpchar", "char", lambda target: _characters(target, padded=True), _PADDED, synonyms=("character",)
)
CITEXT: Final = PostgresType("citext", "citext", _characters, UNPADDED)
TEXT: Final = PostgresType("text", "text", _characters, UNPADDED)
VARCHAR: Final = PostgresType("varchar", "varchar", _characters, UNPADDED, synonyms=("character varying",))
BYTEA: Final = PostgresType("bytea", "bytea", _blobs, _HEXADECIMAL, same_when_equal=True)

CHARACTERS: Final = (CHAR, CITEXT, TEXT, VARCHAR)
ENUMS: Final = "enums"  # what messages call the types that the operator's own migrations made
_BY_BASE: Final = {type_.base: type_ for type_ in (*CHARACTERS, BYTEA)}


def holds_characters(target: TargetColumn) -> bool:
    """Whether a column is of a type that holds texts as they are: char, citext, text or varchar."""
    return target.base in _BY_BASE and target.base != BYTEA.base


# --- formats ----------------------------------------------------------------------------------------------------------


def _utf_8(target: TargetColumn) -> Encoder:
    plain = _BY_BASE[target.base].encoder(target)
    converted: Callable[[Value], Value] = _as_bytes if target.base == BYTEA.base else _as_text

    def scalar(value: Value) -> object:
        return plain.scalar(converted(value))

    one_by_one = singly(scalar)

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        return plain.column(values, kinds) or one_by_one(values, kinds)

    return Encoder("texts and blobs in UTF-8", column, scalar)


def _utf_8_forms(target: TargetColumn) -> tuple[ValueForm, ...]:
    if target.base == BYTEA.base:
        return ValueForm("text", "text", _decoded), AS_BLOB
    return AS_TEXT, ValueForm("blob", "blob", str.encode)


def _decoded(data: bytes) -> Value:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return InvalidText(data)


def _as_bytes(value: Value) -> Value:
    match value:
        case str():
            return value.encode()
        case InvalidText(data):
            return data
        case _:
            return value


def _as_text(value: Value) -> Value:
    if type(value) is not bytes:
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unfit("is a blob that is not valid UTF-8") from None


FAMILY: Final = Family(
    types=(*CHARACTERS, BYTEA),
    formats=(
        Format(
            "utf-8",
            "texts as their bytes into `bytea`, blobs as their text into the others",
            (BYTEA, TEXT, VARCHAR, CHAR, CITEXT),
            _utf_8,
            _utf_8_forms,
        ),
    ),
    promises=(
        Promise(
            (TEXT.name, f"{VARCHAR.name}(n)", CITEXT.name),
            "texts without NUL, within n characters",
            "numbers; broken UTF-8",
        ),
        Promise((f"{CHAR.name}(n)",), "the same without blanks at the end, where Postgres pads", "'a '"),
        Promise((BYTEA.name,), "blobs", "texts"),
    ),
)
