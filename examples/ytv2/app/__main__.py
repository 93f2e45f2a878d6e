"""Starts the dashboard: `python -m app --port 8080` in the folder of the example."""

import argparse
import logging
import os
import socket
import sys
from logging.handlers import WatchedFileHandler
from pathlib import Path

from aiohttp import web

from .server import ACCESS_LOG, COMMON_LOG_FORMAT, LOG, application
from .settings import Settings, SettingsError

SHUTDOWN_SECONDS = 10.0  # for requests that are being answered when it is asked to end


def main() -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    options = _options()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = Settings.of(os.environ)
    except SettingsError as error:
        LOG.error("%s", error)
        return 78
    _log_accesses(options.access_log)
    with _bound(options.host, options.port) as listening:
        host, port = listening.getsockname()[:2]
        LOG.info("listening on http://%s:%d, reads from %s", host, port, settings.backend_name)
        web.run_app(
            application(settings),
            sock=listening,
            print=None,
            access_log=ACCESS_LOG,
            access_log_format=COMMON_LOG_FORMAT,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
    LOG.info("ended")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="app", description="The dashboard of YTV2.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="0 for a free one (default: %(default)s)")
    parser.add_argument("--access-log", type=Path, metavar="FILE", help="where requests are logged (default: stdout)")
    return parser.parse_args()


def _log_accesses(file: Path | None) -> None:
    """One line a request in the common log format, by itself: what is said of errors goes to stderr."""
    handler = WatchedFileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    ACCESS_LOG.addHandler(handler)
    ACCESS_LOG.propagate = False


def _bound(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), backlog=128)


if __name__ == "__main__":
    sys.exit(main())
