"""UUIDs, and SQL literals: texts that name one value exactly."""

import re
import uuid
from collections.abc import Callable, Sequence
from typing import Final

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Failed, InvalidText, NullKey, Value
from cdc.sql_names import quote_literal
from cdc.values.encoder import Encoder, Kinds, Unfit, expect, singly
from cdc.values.family import Family, Format, PostgresType, Promise, Returning, ValueForm
from cdc.values.patterns import lines_of, texts_of_form
from cdc.values.texts import AS_TEXT

# --- UUIDs ------------------------------------------------------------------------------------------------------------

UUIDS: Final = lines_of("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LOOSE_UUID: Final = re.compile(
    r"(?P<brace>\{)?[0-9A-Fa-f]{8}(?P<dash>-?)(?:[0-9A-Fa-f]{4}(?P=dash)){3}[0-9A-Fa-f]{12}(?(brace)\})"
)


def _uuids(_: TargetColumn) -> Encoder:
    # The driver takes them as texts, so that no object is made of each.
    return texts_of_form("UUIDs of 36 lower-case characters", UUIDS, list)


def _loose_uuids(_: TargetColumn) -> Encoder:
    def scalar(value: Value) -> str:
        if type(value) is bytes:
            if len(value) != 16:
                raise Unfit("is a blob that is not 16 bytes long")
            return str(uuid.UUID(bytes=value))
        text = expect(value, str)
        if not _LOOSE_UUID.fullmatch(text):
            raise Unfit("is a text of another form" if text else "is an empty text")
        return str(uuid.UUID(text))

    return Encoder("UUIDs as texts in any usual form, or as 16 bytes", singly(scalar), scalar)


def _uuid_forms(_: TargetColumn) -> tuple[ValueForm, ...]:
    return (AS_TEXT, *_LOOSE_FORMS, ValueForm("blob", "blob", lambda text: uuid.UUID(text).bytes))


def _loose_form(case: Callable[[str], str], hyphens: bool, braces: bool) -> ValueForm:
    def write(text: str) -> str:
        digits = case(text if hyphens else text.replace("-", ""))
        return f"{{{digits}}}" if braces else digits

    return ValueForm(write("aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"), "text", write)


_LOOSE_FORMS: Final = tuple(
    _loose_form(case, hyphens, braces)
    for braces in (False, True)
    for case in (str.lower, str.upper)
    for hyphens in (True, False)
)[1:]  # the first is the text itself

UUID: Final = PostgresType(
    "uuid",
    "uuid",
    _uuids,
    Returning(lambda text: text, lambda _: (AS_TEXT,)),
    fixed=(16, 1),
    same_when_equal=True,
)

# --- SQL literals -----------------------------------------------------------------------------------------------------


def literal(value: Value) -> str | None:
    """Any SQLite value as the SQL literal that SQLite reads back as the same value of the same type; NULL is None."""
    match value:
        case None:
            return None
        case int():
            return str(value)
        case float():
            # SQLite has no word for infinity and reads what is out of range as it.
            return {float("inf"): "9.0e+999", float("-inf"): "-9.0e+999"}.get(value) or repr(value)
        case str():
            return quote_literal(value) if "\x00" not in value else f"CAST(x'{value.encode().hex()}' AS TEXT)"
        case bytes():
            return f"x'{value.hex()}'"
        case InvalidText(data):
            return f"CAST(x'{data.hex()}' AS TEXT)"
        case Failed() | NullKey():
            raise ValueError("what is no value has no literal")


def read_literal(text: str) -> Value:
    """The value that `literal` wrote this text from."""
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    if text.startswith("x'"):
        return bytes.fromhex(text[2:-1])
    if text.startswith("CAST"):
        data = bytes.fromhex(text.split("'")[1])
        try:
            return data.decode()
        except UnicodeDecodeError:
            return InvalidText(data)
    return int(text) if re.fullmatch("-?[0-9]+", text) else float(text)


def _read_back(text: str) -> Value:
    try:
        value = read_literal(text)
    except (ValueError, IndexError):
        raise Unfit("is no SQL literal") from None
    if literal(value) != text:
        raise Unfit("is no SQL literal as this tool writes them")
    return value


LITERALS_RETURNING: Final = Returning(lambda text: text, lambda _: (ValueForm("literal", "", _read_back),))


def literals() -> Encoder:
    """Any value as its literal, for a text column without a limit."""

    def column(values: Sequence[Value], _: Kinds) -> Sequence[object] | None:
        return list(map(literal, values))

    return Encoder("any value, as its SQL literal", column, literal)


FAMILY: Final = Family(
    types=(UUID,),
    formats=(
        Format(
            "uuid",
            "32 hexadecimal digits in any case, with or without hyphens and braces; blobs of 16 bytes",
            (UUID,),
            _loose_uuids,
            _uuid_forms,
            usual=UUID,
        ),
    ),
    promises=(Promise((UUID.name,), "36 lower-case characters", "upper case, braces: they would read back otherwise"),),
)
