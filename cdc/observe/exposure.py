"""What others can see of a daemon while it runs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cdc.config import Config
from cdc.observe import presence
from cdc.vitals import Vitals


@contextmanager
def observed(config: Config) -> Iterator[Vitals]:
    """The vitals of a daemon that runs for the time of the block, shown where the configuration says.

    Raises `ConfigError` when they cannot be shown there.
    """
    vitals = Vitals()
    with ExitStack() as shown:
        shown.enter_context(presence.shown(config, vitals))
        if config.metrics.listen is not None:
            from cdc.observe.metrics import served  # noqa: PLC0415 (memory that only who wants metrics shall pay)

            shown.enter_context(served(config, vitals))
        yield vitals
