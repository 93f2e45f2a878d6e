"""What users asked for and no shadow read ever compared, by the access log that the configuration names."""

import asyncio

from cdc.config import Config
from cdc.errors import UsageError
from cdc.postgres.record.record import Record


async def uncovered(config: Config, record: Record) -> tuple[str, ...]:
    """Words for each endpoint that was not compared, the most frequent first; for nobody where nothing is asked for.

    A log that cannot be read says nothing, and so does one without a read: then nobody knows what was not compared.
    """
    options = config.shadow
    if options.access_log is None or not config.cutover.shadow_clean_hours:
        return ()
    try:
        from cdc.shadow.clean_time import clean_since  # noqa: PLC0415 (of an extra that need not be installed)
        from cdc.shadow.http_plan import configured_reads  # noqa: PLC0415
    except ModuleNotFoundError as error:
        return (f"the access log is read by {error.name}, which is not installed",)
    try:
        logged = await asyncio.to_thread(configured_reads, options)
    except UsageError as error:
        return (error.message,)
    if not logged:
        return (f"{options.access_log} has no read in it: is `log_format` in [shadow] its format?",)
    found = await clean_since(record, logged)
    return tuple(
        f"never compared: {endpoint}, {count:,} in the log" for endpoint, count in found.never_compared.items()
    )
