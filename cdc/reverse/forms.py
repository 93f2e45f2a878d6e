"""How an application writes its values: learned when a switch is prepared, and kept as plain data in Postgres."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cdc.config import Config
from cdc.facts.table_map import TableMap
from cdc.facts.target_schema import TargetTable
from cdc.facts.written_form import WrittenForm
from cdc.sqlite.apply.learn import written_forms
from cdc.sqlite.changelog import source_file
from cdc.sqlite.connection.transactions import read_transaction

FormsByTable = Mapping[str, Mapping[str, WrittenForm]]


def learn_forms(config: Config, maps: Sequence[TableMap], targets: Mapping[str, TargetTable]) -> FormsByTable:
    """The forms by source table and target column, from the newest rows of each table; each in a short snapshot."""
    learned: dict[str, Mapping[str, WrittenForm]] = {}
    with source_file.opened(config) as connection:
        for mapped in maps:
            with read_transaction(connection):
                learned[mapped.source.name] = written_forms(connection, mapped, targets[mapped.target])
    return learned


def forms_to_json(forms: FormsByTable) -> dict[str, Any]:
    """As they are kept."""
    made: dict[str, Any] = msgspec.to_builtins(forms)
    return made


def forms_from_json(kept: Mapping[str, Any]) -> FormsByTable:
    """As they were kept."""
    return msgspec.convert(kept, dict[str, dict[str, WrittenForm]])
