"""Rights to write that other roles have on target tables: taken for as long as these are fenced, and given back.

The fence that is a trigger holds for everybody, the owner too. Without the right, a statement fails before anything of
it is done. What was taken is recorded in the same transaction: each right by role, with the column that it is for and
whether it may be handed on.
"""

from cdc.errors import TargetError
from cdc.postgres.outbox.table_locks import SQL
from cdc.postgres.record.part import RecordPart
from cdc.sql_names import qualified, quote


class WithheldRights(RecordPart):
    """What one source withholds, over a connection of the role that owns the tables; in the caller's transaction."""

    async def take(self, schema: str, table: str) -> None:
        """Take the rights to write of everybody but the owner. Raises `TargetError` when a role handed its own on."""
        place = qualified(schema, table)
        for right in await self._connection.fetch(SQL["rights"], place):
            if right["giver"] is not None:
                raise TargetError(
                    f"the right to write to {table} was handed on by the role {right['giver']}, and could not be given "
                    "back as it was",
                    remedy='have the owner of the table grant it; or set `postgres_fence = "triggers"` in [cutover]',
                )
            facts = (right["role"], right["privilege"], right["column_name"], right["grantable"])
            await self._connection.execute(SQL["note_right"], self._source_id, schema, table, *facts)
            right_words = _words(right["privilege"], right["column_name"])
            await self._connection.execute(f"REVOKE {right_words} ON {place} FROM {_grantee(right['role_name'])}")

    async def give_back(self, schema: str, table: str) -> None:
        """Give back exactly what was taken; roles and columns that are gone by now are left out."""
        place = qualified(schema, table)
        for right in await self._connection.fetch(SQL["withheld"], self._source_id, schema, table):
            option = " WITH GRANT OPTION" if right["grantable"] else ""
            right_words = _words(right["privilege"], right["column_name"])
            await self._connection.execute(f"GRANT {right_words} ON {place} TO {_grantee(right['role_name'])}{option}")
        await self._connection.execute(SQL["forget_rights"], self._source_id, schema, table)

    async def tables(self) -> list[tuple[str, str]]:
        """The tables, by schema and name, of which something is withheld."""
        if not await self._knows("withheld_right"):
            return []
        return [tuple(row) for row in await self._connection.fetch(SQL["withheld_tables"], self._source_id)]


def _words(privilege: str, column: str) -> str:
    return f"{privilege} ({quote(column)})" if column else privilege


def _grantee(role: str | None) -> str:
    return "PUBLIC" if role is None else quote(role)
