"""How long work tells somebody how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Where long work tells how far it is; one `start` to `finish` at a time."""

    def start(self, what: str, total: int | None) -> None:
        """A piece of work begins; `total` is its size when it is known, in the unit of `advance`."""

    def advance(self, n: int) -> None:
        """`n` more units are done."""

    def finish(self) -> None:
        """The piece of work is done."""


class Silent:
    """Shows nothing."""

    def start(self, what: str, total: int | None) -> None:
        """Work begins."""

    def advance(self, n: int) -> None:
        """Work goes on."""

    def finish(self) -> None:
        """Work ends."""
