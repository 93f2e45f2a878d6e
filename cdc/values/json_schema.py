"""JSON Schemas for columns of documents: read once, checked at apply time, and said to Postgres where that is exact.

The schema's own words hold (https://json-schema.org, drafts 4 to 2020-12). Numbers with a fraction or an exponent are
compared as doubles.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cdc.errors import MappingError
from cdc.facts.values import Value
from cdc.sql_names import quote_literal
from cdc.values.encoder import Encoder, Kinds, Unfit

if TYPE_CHECKING:
    from jsonschema_rs import Validator

_REMEDY: Final = "write a JSON Schema there that stands by itself, or remove `schema`"
_TYPES: Final = ("object", "array", "string", "number", "boolean", "null")


def read(section: str, path: Path) -> str:
    """The text of a JSON Schema; raises `MappingError` when the file holds none that can be used."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text in UTF-8"
        raise MappingError(f"{section}: `schema` cannot be read from {path}: {reason}", remedy=_REMEDY) from None
    try:
        _validator(text)
    except ImportError:
        raise MappingError(
            f"{section}: `schema` needs a library that is not installed",
            remedy="install jsonschema-rs, which comes with this tool except on 32-bit ARM, or remove `schema`",
        ) from None
    except ValueError as error:
        # What the library says beyond its first line shows the schema around the place, which may be long.
        reason = str(error).partition("\n")[0]
        raise MappingError(f"{section}: {path} is no usable JSON Schema: {reason}", remedy=_REMEDY) from None
    return text


def checked(encoder: Encoder, schema: str) -> Encoder:
    """The encoder of a column whose documents must satisfy a schema as well."""
    validator = _validator(schema)

    def scalar(value: Value) -> object:
        document = encoder.scalar(value)
        if error := next(validator.iter_errors(json.loads(str(document))), None):
            rule = "/".join(map(str, error.schema_path))
            raise Unfit(f"is a document that breaks its JSON Schema at #/{rule}")
        return document

    def column(values: Sequence[Value], kinds: Kinds) -> Sequence[object] | None:
        documents = encoder.column(values, kinds)
        if documents is None:
            return None
        valid = all(validator.is_valid(json.loads(str(text))) for text in documents if text is not None)
        return documents if valid else None

    return Encoder(f"{encoder.takes}, as its JSON Schema says", column, scalar)


def _validator(schema: str) -> "Validator":
    from jsonschema_rs import validator_for  # noqa: PLC0415 (only where a column has a schema)

    return validator_for(json.loads(schema), retriever=_never)


def _never(uri: str) -> None:
    raise ValueError(f"{uri} is not part of it, and nothing is fetched")


# --- what Postgres can say --------------------------------------------------------------------------------------------


def condition(schema: str, column: str) -> str | None:
    """SQL over a jsonb column, given as SQL, that every document fulfils which satisfies the schema; None without any.

    It says `type`, `required`, `properties`, `enum` and `const` of texts and flags, and the sizes of arrays and texts.
    The rest, `integer` and every number among it, is for the check at apply time alone.
    """
    rules = json.loads(schema)
    if "draft-04" in str(schema) or "\\u0000" in json.dumps(rules):
        return None  # the oldest draft has other keywords, and Postgres' texts no NUL
    return " AND ".join(_conditions(rules, column)) or None


def _conditions(schema: Any, place: str) -> Iterator[str]:
    if not isinstance(schema, dict) or "$ref" in schema:
        return
    of = f"jsonb_typeof({place})"
    if types := _known_types(schema.get("type")):
        yield f"{of} IN ({', '.join(map(quote_literal, types))})"
    if allowed := _plain_values(schema):
        yield f"{place} IN ({', '.join(f'{quote_literal(json.dumps(v))}::jsonb' for v in allowed)})"
    for keyword, (kind, write) in _KEYWORDS.items():
        if (rule := schema.get(keyword)) and (sql := write(rule, place)):
            # A keyword says something of its kind of value only; AND would not promise that the kind is asked first.
            yield f"CASE WHEN {of} = {quote_literal(kind)} THEN {sql} ELSE true END"


def _known_types(type_: Any) -> list[str]:
    types = type_ if isinstance(type_, list) else [type_]
    return types if all(name in _TYPES for name in types) else []


def _plain_values(schema: dict[str, Any]) -> list[Any]:
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    return values if all(isinstance(value, (str, bool)) or value is None for value in values) else []


def _required(names: Any, place: str) -> str:
    return f"{place} ?& ARRAY[{', '.join(map(quote_literal, names))}]"


def _properties(schemas: Any, place: str) -> str | None:
    parts = []
    for name, schema in schemas.items():
        inner = f"({place} -> {quote_literal(name)})"
        if sql := " AND ".join(_conditions(schema, inner)):
            parts.append(f"(NOT {place} ? {quote_literal(name)} OR ({sql}))")
    return f"({' AND '.join(parts)})" if parts else None


def _at_least(size: str) -> Callable[[Any, str], str]:
    return lambda limit, place: f"{size.format(place)} >= {int(limit)}"


def _at_most(size: str) -> Callable[[Any, str], str]:
    return lambda limit, place: f"{size.format(place)} <= {int(limit)}"


_ELEMENTS: Final = "jsonb_array_length({})"
_CHARACTERS: Final = "char_length({} #>> '{{}}')"
_KEYWORDS: Final[dict[str, tuple[str, Callable[[Any, str], str | None]]]] = {
    "required": ("object", _required),
    "properties": ("object", _properties),
    "minItems": ("array", _at_least(_ELEMENTS)),
    "maxItems": ("array", _at_most(_ELEMENTS)),
    "minLength": ("string", _at_least(_CHARACTERS)),
    "maxLength": ("string", _at_most(_CHARACTERS)),
}
