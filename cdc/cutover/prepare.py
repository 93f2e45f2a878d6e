"""All that may take minutes before a cutover, and may be left standing: fences, the way back, a whole comparison."""

import asyncio

from cdc.config import Config
from cdc.cutover.no_way_back import no_way_back
from cdc.errors import SwitchError, SwitchUnequal
from cdc.facts.progress import Progress
from cdc.facts.table_map import TableMap
from cdc.identity.active_side import require_sqlite_active
from cdc.postgres.connection.errors import translated
from cdc.postgres.ddl.immediate_keys import ApplicationKeys
from cdc.postgres.outbox.guard import WriteGuard
from cdc.postgres.record import stream_row
from cdc.postgres.record.known_tables import current_tables
from cdc.postgres.record.record import Record
from cdc.postgres.server.endpoint import connected
from cdc.postgres.tables import catalogue
from cdc.reverse.forms import forms_to_json, learn_forms
from cdc.sql_names import qualified
from cdc.sqlite.changelog import source_file
from cdc.sqlite.fence import fence
from cdc.verify import verify
from cdc.verify.report import VerifyReport


async def prepare(config: Config, progress: Progress) -> VerifyReport:
    """Make everything ready for a cutover that takes moments; may be given again, and then makes what is missing.

    Raises `SwitchUnequal` when both are not alike, `SwitchError` when some table could not come back.
    """
    async with connected(config, "prepare cutover") as connection:
        look = await asyncio.to_thread(source_file.look, config)
        if look.capture is None:
            raise stream_row.never_loaded()
        record = Record(connection, look.capture.source_id)
        state = await record.stream.read()
        if state is None or state.position is None:
            raise stream_row.never_loaded()
        await require_sqlite_active(config, state)
        maps = tuple((await current_tables(record, config, look.schema)).fed)
        targets = await catalogue.read_tables(connection, config.target.schema, [m.target for m in maps])
        guard = WriteGuard(connection, record.source_id, withhold=config.cutover.withholds_rights)
        lost, remedy = await no_way_back(guard, maps, targets)
        if lost:
            raise SwitchError(
                f"tables could not come back from Postgres: {'; '.join(lost)}",
                remedy=f"{remedy}; then give `cdc cutover --prepare` again",
            )
        await asyncio.to_thread(fence.install, config)
        await guard.install(maps, config.cutover.wait_for_writers_seconds)
        await ApplicationKeys(connection, config.target.schema).prepare(maps, progress)
        await _analyze(record, maps, progress)
        forms = await asyncio.to_thread(learn_forms, config, maps, targets)
        report = await verify(config, None, False, progress)
        if report.differences or report.result != "equal":
            raise SwitchUnequal(
                f"both databases are not alike: {report.result}, {report.differences:,} differences",
                remedy="see them with `cdc verify`, and have them moved again with `cdc verify --repair`",
            )
        await record.switch.prepare(report.position.seq, forms_to_json(forms))
    return report


async def _analyze(record: Record, maps: tuple[TableMap, ...], progress: Progress) -> None:
    """So that the application's first queries are planned by what the tables hold now."""
    progress.start("analyzing", len(maps))
    with translated("analyzing the target tables"):
        for mapped in maps:
            await record.connection.execute(f"ANALYZE {qualified(mapped.schema, mapped.target)}")
            progress.advance(1)
    progress.finish()
