"""Triggers of the target that do not fire for the time of replication, so that they can be restored at cutover."""

from cdc.facts.target_schema import SilentTrigger
from cdc.postgres.connection.errors import translated
from cdc.postgres.record.part import RecordPart
from cdc.postgres.record.stream_row import SQL
from cdc.sql_names import qualified, quote


class DisabledTriggers(RecordPart):
    """The triggers that one source's stream had to disable."""

    async def disable(self, schema: str, table: str) -> list[str]:
        """Disable the user triggers of a target and its partitions, recorded first so that they can be restored.

        Returns their names.
        """
        with translated(f"disabling the triggers of {table}"):
            async with self._connection.transaction():
                enabled = await self._connection.fetch(SQL["enabled_triggers"], schema, table)
                for trigger in enabled:
                    name = qualified(trigger["schema"], trigger["table_name"])
                    facts = (trigger["schema"], trigger["table_name"], trigger["name"], trigger["enabled"])
                    await self._connection.execute(SQL["record_trigger"], self._source_id, *facts)
                    await self._connection.execute(f"ALTER TABLE {name} DISABLE TRIGGER {quote(trigger['name'])}")
        return [trigger["name"] for trigger in enabled]

    async def restore(self, schema: str, table: str) -> None:
        """Let those of a target fire again as they did before, if they are there; what is recorded stays."""
        with translated(f"enabling the triggers of {table}"):
            for trigger in await self._connection.fetch(SQL["triggers_to_restore"], self._source_id, schema, table):
                enable = "ENABLE ALWAYS" if trigger["enabled"] == "A" else "ENABLE"
                await self._connection.execute(
                    f"ALTER TABLE {qualified(schema, table)} {enable} TRIGGER {quote(trigger['name'])}"
                )

    async def forget(self, schema: str, table: str) -> None:
        """Record no longer that those of a target were disabled."""
        with translated(f"forgetting the triggers of {table}"):
            await self._connection.execute(SQL["forget_triggers"], self._source_id, schema, table)

    async def silent(self) -> tuple[SilentTrigger, ...]:
        """Those that do not fire now; none where the schema `cdc` has no record of any."""
        with translated("looking for disabled triggers"):
            if not await self._knows("disabled_trigger"):
                return ()
            rows = await self._connection.fetch(SQL["silent_triggers"], self._source_id)
        return tuple(SilentTrigger(row["of"], row["table"], row["trigger"]) for row in rows)

    async def give_back(self) -> tuple[SilentTrigger, ...]:
        """Let all of them fire again as they did before, and record them no longer: whoever feeds the tables next keeps
        a record of its own. Returns which did not fire.
        """
        silent = await self.silent()
        with translated("giving triggers back"):
            async with self._connection.transaction():
                for schema, table in await self._connection.fetch(SQL["trigger_places"], self._source_id):
                    await self.restore(schema, table)
                    await self.forget(schema, table)
        return silent

    async def recorded(self, schema: str) -> frozenset[tuple[str, str]]:
        """Those of a target schema, as table and trigger."""
        with translated("reading which triggers were disabled"):
            rows = await self._connection.fetch(SQL["recorded_triggers"], self._source_id, schema)
        return frozenset((row["target_table"], row["trigger_name"]) for row in rows)
