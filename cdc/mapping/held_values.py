"""How many of the values that were counted in a column each type holds: what decisions and proposals are proven by."""

from collections.abc import Mapping
from math import inf

from cdc.facts.profile import ColumnProfile
from cdc.values.booleans import BOOLEAN
from cdc.values.documents import JSONB
from cdc.values.identifiers import UUID
from cdc.values.numbers import BIGINT, DOUBLE, NUMERIC
from cdc.values.texts import BYTEA, TEXT
from cdc.values.times import DATE, TIME, TIMESTAMP, TIMESTAMPTZ


def holds(content: ColumnProfile) -> Mapping[str, int]:
    """How many values of a column each type surely holds exactly, by the name of the type."""
    forms, numbers = content.forms, content.integer + content.real
    infinite = any(number in (-inf, inf) for number in (content.least, content.greatest))
    return {
        BIGINT.name: content.integer,
        DOUBLE.name: numbers - content.big,
        NUMERIC.name: numbers,
        BOOLEAN.name: content.integer - content.not_boolean,
        TEXT.name: max(content.text - forms.nul - forms.invalid, 0),
        BYTEA.name: content.blob,
        JSONB.name: forms.documents + (content.integer if infinite else numbers),
        TIMESTAMP.name: forms.naive,
        TIMESTAMPTZ.name: forms.zoned,
        DATE.name: forms.date,
        TIME.name: forms.time,
        UUID.name: forms.uuid,
    }
