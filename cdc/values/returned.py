"""The way back of one column: Postgres' text as the application would have written the value, and which are alike.

Nothing is guessed: what is made of a text is a value that, taken to Postgres again, is that text. A value that has no
such form is refused.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from cdc.facts.source_schema import Affinity, Column
from cdc.facts.table_map import ColumnMap, TableMap
from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Failed, InvalidText, NullKey, Value
from cdc.facts.written_form import WrittenForm
from cdc.values.column_rules import encoder_for
from cdc.values.encoder import Unfit
from cdc.values.family import ValueForm
from cdc.values.registry import FORMATS, returning_of_type

# The storage classes that SQLite keeps in a column of an affinity as they are
# (https://www.sqlite.org/datatype3.html#type_affinity), the usual one first.
_KEPT: Final = {
    Affinity.TEXT: ("text",),
    Affinity.INTEGER: ("integer", "real"),
    Affinity.NUMERIC: ("integer", "real"),
    Affinity.REAL: ("real",),
}
_CLASSES: Final = {int: "integer", float: "real", str: "text", bytes: "blob", InvalidText: "text"}


class ReturnedColumn:
    """One column of a mapped table, `there` in Postgres, whose values come back to the column `here` in SQLite."""

    def __init__(self, mapped: TableMap, column: ColumnMap, there: TargetColumn, here: Column) -> None:
        rules = mapped.reading(column, there)
        # Counts what the operator has altered, which is nothing new here.
        encoder = encoder_for(there, rules, literal=column.literal, altered=Counter())
        assert encoder is not None, "a column that is fed has an encoder"
        self._encoder = encoder
        self._returning = returning_of_type(there, literal=column.literal)
        by_format = FORMATS[rules.format].forms if rules.format and not column.literal else self._returning.forms
        self._forms = {form.name: form for form in by_format(there)}
        self._empty_is_null = rules.empty == "null"
        self._here = here

    def alike(self, value: Value, text: str | None) -> bool:
        """Whether a value of SQLite, taken to Postgres, is what Postgres shows as this text."""
        if value is None or text is None:
            return value is text or (value is not None and self._is_nothing(value))
        try:
            encoded = self._encode(value)
            return encoded is not None and self._compared(encoded) == self._compared(self._returning.stored(text))
        except Unfit:
            return False

    def value(self, text: str | None, written: WrittenForm) -> Value:
        """The value that the application would have written; raises `Unfit` where none is alike."""
        if text is None:
            return "" if written.empty and self._empty_is_null else None
        stored = self._returning.stored(text)
        wrong = "has no such form that would be the same value in Postgres again"
        for form in self._known(written):
            try:
                value = form.write(stored)
            except Unfit as unfit:
                wrong = str(unfit)
            else:
                if self.alike(value, text):
                    return value
        raise Unfit(wrong)

    def learn(self, sample: Sequence[Value]) -> WrittenForm:
        """The form of a column that has these values; of one without any, the usual one for what was declared."""
        values = [v for v in sample if v is not None and not (v == "" and self._empty_is_null)]
        found = tuple(self._covering(values))
        empties, nulls = sample.count(""), sample.count(None)
        empty = self._empty_is_null and (empties > nulls or self._here.not_null)
        return WrittenForm(found or (self.usual,), empty)

    def _covering(self, sample: Sequence[Value]) -> Iterator[str]:
        """Names of forms that together write every value as it is, the one of most values first.

        Values that no form brings back count for none.
        """
        pairs: list[tuple[Value, object]] = []
        for value in map(self._returning.sample, sample):
            with suppress(Unfit):
                if (stored := self._encode(value)) is not None:
                    pairs.append((value, stored))
        classes = Counter(_CLASSES.get(type(value)) for value, _ in pairs)
        # Reals that all have a fraction are what the form of integers would make of them, too.
        left = sorted(self._forms.values(), key=lambda form: -classes[form.storage])
        explained = {form.name: _written_exactly(form, pairs) for form in left}
        while best := max(explained, key=lambda name: len(explained[name]), default=""):
            places = explained.pop(best)
            if not places:
                return
            yield best
            explained = {name: others - places for name, others in explained.items()}

    @property
    def has_choice(self) -> bool:
        """Whether there is something to learn."""
        return len(self._forms) > 1 or self._empty_is_null

    @property
    def usual(self) -> str:
        """The form of a column of which nothing is known but its declaration."""
        kept = ("blob",) if "BLOB" in self._here.declared_type.upper() else _KEPT.get(self._here.affinity, ())
        fitting = (form.name for storage in kept for form in self._forms.values() if form.storage == storage)
        return next(fitting, next(iter(self._forms)))

    def _known(self, written: WrittenForm) -> list[ValueForm]:
        """The forms by their names; all that there are where the column got another type since they were learned."""
        return [self._forms[name] for name in written.forms if name in self._forms] or list(self._forms.values())

    def _is_nothing(self, value: Value) -> bool:
        """Whether NULL becomes of a value because the operator chose so."""
        try:
            return self._encode(value) is None
        except Unfit:
            return False

    def _encode(self, value: Value) -> object:
        if isinstance(value, Failed | NullKey):
            raise Unfit("is no value")
        return self._encoder.scalar(value)

    def _compared(self, stored: object) -> object:
        return self._returning.compared(stored)


def _written_exactly(form: ValueForm, pairs: Sequence[tuple[Value, object]]) -> set[int]:
    """Places of values, each with what is stored of it, that the form writes exactly as they are."""
    places = set()
    for place, (value, stored) in enumerate(pairs):
        with suppress(Unfit):
            again = form.write(stored)
            if type(again) is type(value) and again == value:
                places.add(place)
    return places
