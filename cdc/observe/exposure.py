"""What others can see of a daemon while it runs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cdc.config import Config
from cdc.observe import daemon_file
from cdc.observe.daemon_state import DaemonState


@contextmanager
def observed(config: Config) -> Iterator[DaemonState]:
    """The daemon_state of a daemon that runs for the time of the block, shown where the configuration says.

    Raises `ConfigError` when they cannot be shown there.
    """
    daemon_state = DaemonState()
    with ExitStack() as shown:
        shown.enter_context(daemon_file.shown(config, daemon_state))
        if config.metrics.listen is not None:
            from cdc.observe.http import served  # noqa: PLC0415 (memory that only who wants metrics shall pay)

            shown.enter_context(served(config, daemon_state))
        yield daemon_state
