"""Every type and every format that is known, from the families. What lists any of them is made from here.

The configuration stands below this room, and the comparison must not import it: tests hold both against this registry.
"""

from typing import Final

from cdc.facts.target_schema import TargetColumn
from cdc.values import addresses, arrays, booleans, documents, identifiers, intervals, numbers, texts, times
from cdc.values.encoder import Encoder
from cdc.values.family import Family, Format, PostgresType, Promise, Returning

FAMILIES: Final[dict[str, Family]] = {
    "numbers": numbers.FAMILY,
    "booleans": booleans.FAMILY,
    "texts": texts.FAMILY,
    "documents": documents.FAMILY,
    "times": times.FAMILY,
    "intervals": intervals.FAMILY,
    "identifiers": identifiers.FAMILY,
    "addresses": addresses.FAMILY,
}

# By the name in the catalogue, in the order in which messages have always listed them.
TYPES: Final[dict[str, PostgresType]] = {
    type_.base: type_
    for type_ in (
        *numbers.WHOLE,
        *numbers.FLOATS,
        booleans.BOOLEAN,
        texts.BYTEA,
        *documents.FAMILY.types,
        numbers.NUMERIC,
        *texts.CHARACTERS,
        *times.FAMILY.types,
        *identifiers.FAMILY.types,
        *intervals.FAMILY.types,
        *addresses.FAMILY.types,
    )
}
SUPPORTED: Final = (*TYPES, texts.ENUMS, "arrays")
_ELEMENTS: Final[dict[str, PostgresType]] = {
    type_.base: type_
    for type_ in (
        *(*numbers.WHOLE, *numbers.FLOATS, numbers.NUMERIC, booleans.BOOLEAN, texts.TEXT, texts.VARCHAR),
        *(*times.FAMILY.types, identifiers.UUID, addresses.INET),
    )
}
FORMATS: Final[dict[str, Format]] = {f.name: f for family in FAMILIES.values() for f in family.formats}
PROMISES: Final[tuple[Promise, ...]] = tuple(p for family in FAMILIES.values() for p in family.promises)


def encoder_of_type(target: TargetColumn, *, literal: bool = False) -> Encoder | None:
    """How that column is fed when nothing was chosen for it, None for a type that is not supported."""
    if literal:
        unlimited_text = target.base in (texts.TEXT.base, texts.VARCHAR.base) and target.length is None
        return identifiers.literals() if unlimited_text else None
    if element := array_element(target):
        column = arrays.element_of(target)
        return arrays.encoder(element.encoder(column), element, column)
    if target.labels:  # an enum has a name of its own, which may be that of another type in another schema
        return texts.labels(target.labels)
    type_ = TYPES.get(target.base)
    return type_.encoder(target) if type_ else None


def is_supported(target: TargetColumn) -> bool:
    """Whether a column of that type can be fed in any way."""
    return bool(target.labels) or target.base in TYPES or array_element(target) is not None


def array_element(target: TargetColumn) -> PostgresType | None:
    """The type of the elements of a column of arrays; None for other columns, and for elements not supported there."""
    return _ELEMENTS.get(target.base.removeprefix(arrays.MARK)) if target.base.startswith(arrays.MARK) else None


def returning_of_type(target: TargetColumn, *, literal: bool = False) -> Returning:
    """How the values of a column that has an encoder come back."""
    if literal:
        return identifiers.LITERALS_RETURNING
    if element := array_element(target):
        column = arrays.element_of(target)
        return arrays.returning(element.encoder(column), element, column)
    return texts.UNPADDED if target.labels else TYPES[target.base].returning
