"""Names in the configuration that mean nothing in the file, told in the log of whoever goes by it."""

from loguru import logger

from cdc.config import Config
from cdc.facts.source_schema import SourceSchema
from cdc.mapping.unmatched import unmatched


def tell_unmatched(schema: SourceSchema, config: Config) -> None:
    """Warn of each of them."""
    for risk in unmatched(schema, config):
        name = f"{risk.table}.{risk.column}" if risk.column else risk.table
        told = logger.bind(object=name, reason=risk.text, remedy=risk.remedy)
        told.warning("a name in the configuration means nothing in the file")
