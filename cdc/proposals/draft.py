"""A configuration in the making: what a text says, and what it would say with further lines."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cdc.config import Config, decode_config
from cdc.config.edit import merged_document
from cdc.config.load import beside
from cdc.proposals.block import Block, Exclusion

REPLICATE = ("replicate",)


class Draft:
    """The configuration of a text, which is to stand in `file`."""

    def __init__(self, text: str, file: Path) -> None:
        self._document = tomllib.loads(text)
        self._file = file

    def config(self, blocks: Iterable[Block] = (), exclusions: Iterable[Exclusion] = ()) -> Config:
        """What it says with these blocks and exclusions, those that are a choice too."""
        document: dict[str, Any] = self._document
        for block in blocks:
            document = merged_document(document, block.section, tomllib.loads("\n".join(block.lines)))
        document = merged_document(document, REPLICATE, {"exclude": [excluded.table for excluded in exclusions]})
        return beside(decode_config(document, str(self._file)), self._file.resolve().parent)
