"""The process that `warm_commands` has fork: one argument, the number of the socket that requests come by."""

import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import socket
import sys
from typing import Any

import cdc
from cdc import faults
from cdc.cli import main

_MOST_BYTES = 1 << 18


def import_all() -> None:
    """Everything that some command imports when it runs."""
    for module in pkgutil.walk_packages(cdc.__path__, "cdc."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def forked(requests: socket.socket) -> list[str]:
    """Answers requests, and returns in each process that it forks for one, with the arguments of the command."""
    while True:
        message, streams, _, _ = socket.recv_fds(requests, _MOST_BYTES, 3)
        if not message:
            os._exit(0)
        # The one in between ends at once: so the other becomes a child of whoever asked.
        if (between := os.fork()) == 0:
            if (child := os.fork()) == 0:
                return become(json.loads(message), streams)
            requests.send(str(child).encode())
            os._exit(0)
        os.waitpid(between, 0)
        for stream in streams:
            os.close(stream)
        requests.send(b"adopted")


def become(request: dict[str, Any], streams: list[int]) -> list[str]:
    """Take over streams, folder, umask and environment, as a process has them that was started with them."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, max(streams) + 1)
    os.chdir(request["folder"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["environment"])
    importlib.reload(faults)  # it reads the environment once
    if "PYTHONFAULTHANDLER" in os.environ:
        faulthandler.enable()
    sys.argv = ["cdc", *request["arguments"]]
    return sys.argv[1:]


if __name__ == "__main__":
    import_all()
    gc.freeze()
    sys.exit(main(forked(socket.socket(fileno=int(sys.argv[1])))))
