"""Tables that a virtual table keeps for itself whose module is not known here, which could tell which ones they are.

Such a module may write them past every trigger, so their changes cannot be captured.
"""

from collections.abc import Sequence
from typing import Final

import apsw

from cdc.config import Config
from cdc.facts.source_schema import LeftOut
from cdc.sqlite.rows.exact_values import fetch_values
from cdc.sqlite.schema.create_text import module_of

_GUEST: Final = (
    "it seems to belong to virtual table {owner}, whose module {module} is not known here; "
    "name it in `tables` of [replicate] if it is one of its own"
)


def guests_of_virtual_tables(connection: apsw.Connection, tables: Sequence[str], config: Config) -> dict[str, LeftOut]:
    """Which of these tables seem to belong to a virtual table of an unknown module, by name, with the reason.

    A table that the configuration names counts as one of its own.
    """
    modules = {str(row[0]).lower() for row in connection.execute("SELECT name FROM pragma_module_list")}
    rows = fetch_values(connection, "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND rootpage = 0")
    unknown = {str(name): module for name, sql in rows if (module := module_of(str(sql))) and module not in modules}
    named = {name.lower() for name in (*config.tables, *config.replicate.tables)}
    return {
        name: LeftOut(name, "table", _GUEST.format(owner=owner, module=module))
        for owner, module in unknown.items()
        for name in tables
        if name.lower().startswith(f"{owner.lower()}_") and name.lower() not in named
    }
