"""Applications in processes of their own: started, looked after, and expected to end well by themselves."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self


class Client:
    """A script as a process; a failed write of the application makes it end with a trace."""

    def __init__(self, script: Path, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def runs(self) -> bool:
        """Whether it still works."""
        return self.process.poll() is None

    def end(self) -> None:
        """Close its input, wait for its end, and fail with its trace when one of its writes failed; call it once."""
        told, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, told

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.runs:
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        self.process.wait()
