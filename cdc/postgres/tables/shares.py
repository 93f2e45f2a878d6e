"""The rows of a target that are one source table's, where several feed it: the one condition that all who read use."""

from cdc.facts.table_map import TableMap
from cdc.sql_names import qualified, quote, quote_literal


def is_own(mapped: TableMap, alias: str) -> str:
    """SQL that is true for rows of the target, under an alias, that are the source table's; true where all are."""
    share = mapped.share
    if share is None:
        return "true"
    # Literals without a type take that of the column.
    listed = f"{alias}.{quote(share.column)} IN ({', '.join(map(quote_literal, share.values))})"
    return f"({listed}) IS NOT TRUE" if share.rest else listed


def own_rows(mapped: TableMap, alias: str = "t") -> str:
    """What stands after FROM to read a source table's own rows of its target, under that alias."""
    table = qualified(mapped.schema, mapped.target)
    if mapped.share is None:
        return f"{table} AS {alias}"
    return f"(SELECT * FROM {table} AS {alias} WHERE {is_own(mapped, alias)}) AS {alias}"
