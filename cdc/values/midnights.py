"""Instants read into dates: one that is midnight in UTC is that day, and any other would be cut."""

from collections.abc import Sequence
from dataclasses import replace

from cdc.facts.target_schema import TargetColumn
from cdc.facts.values import Value
from cdc.values.encoder import Encoder, Unfit, singly, storage_class
from cdc.values.family import Format, PostgresType, ValueForm
from cdc.values.iso_times import DAY_MICROSECONDS
from cdc.values.time_forms import DAY_OR_MOMENT


def with_dates(instants: Format, date: PostgresType) -> Format:
    """A format of instants that is read into dates too."""

    def encoder(target: TargetColumn) -> Encoder:
        found = instants.encoder(target)
        return _midnights(found) if target.base == date.base else found

    def forms(target: TargetColumn) -> Sequence[ValueForm]:
        found = instants.forms(target)
        if target.base != date.base:
            return found
        return tuple(map(_of_day, sorted(found, key=lambda form: form is not DAY_OR_MOMENT)))

    return replace(instants, into=(*instants.into, date), encoder=encoder, forms=forms)


def _midnights(instants: Encoder) -> Encoder:
    def scalar(value: Value) -> int:
        instant = instants.scalar(value)
        assert isinstance(instant, int)
        days, rest = divmod(instant, DAY_MICROSECONDS)
        if rest:
            raise Unfit(f"is {storage_class(value)} for an instant that is no midnight in UTC")
        return days

    return Encoder(f"{instants.takes}, at midnight in UTC", singly(scalar), scalar)


def _of_day(form: ValueForm) -> ValueForm:
    return ValueForm(form.name, form.storage, lambda days: form.write(days * DAY_MICROSECONDS))
