"""The recorded run: `recorded.json` beside this file, which the page and the regression gate are made from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.figures import Figure

FILE: Final = Path(__file__).with_name("recorded.json")


@dataclass(frozen=True)
class Record:
    """One run: what it ran on (`machine.facts`), and what it found."""

    machine: dict[str, str]
    figures: list[Figure]


def load() -> Record:
    """The recorded run."""
    return msgspec.json.decode(FILE.read_bytes(), type=Record)


def save(record: Record) -> None:
    """Replace the recorded run."""
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
