"""The kinds of flags: what each says now, and how it is set, any time again."""

import os
import signal
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from cdc import flag as flag_file
from cdc.config import CommandFlag, Config, EnvFlag, FileFlag, FlagSection, HttpFlag, ProxyFlag
from cdc.cutover.flag.env_file import UnreadableLine, values, with_values
from cdc.cutover.flag.replaced_file import replace_content
from cdc.cutover.flag.state import FlagState, Saying, follows, saying_of, side_of
from cdc.cutover.flag.web import Unreached, ask, headers_in
from cdc.facts.side import Side
from cdc.log import redact
from cdc.shadow.proxy.control import ProxyAway, say_to_proxy

_TAIL: Final = 300  # characters of what a program said, in an error
_UNDER_WAY_SECONDS: Final = 0.3  # for writes that a proxy let through before it held others, which wait meanwhile
_LOOK_SECONDS: Final = 0.005
_ACTIVE: Final = {Side.SQLITE: "baseline", Side.POSTGRES: "candidate"}


class FlipFailed(Exception):
    """A flag could not be set, in words; `unchanged` says that it is surely as before. Never leaves this room."""

    def __init__(self, reason: str, *, unchanged: bool = False) -> None:
        super().__init__(reason)
        self.unchanged = unchanged


class Provider(Protocol):
    """One flag. `label` names it for people, `follows` which of `reads` and `writes` it tells of.

    `answers` says whether it can be asked; of one that cannot, what it was told last is remembered.
    """

    label: str
    follows: frozenset[str]
    answers: bool

    def says(self) -> Saying:
        """What it says now."""

    def would_say(self, state: FlagState) -> Saying:
        """What it says once it is set."""

    def set(self, state: FlagState) -> None:
        """Have it say so; raises `FlipFailed`, or `ConfigError`."""


def provider_of(section: FlagSection, config: Config) -> Provider:
    """The flag that a section of the configuration describes."""
    match section:
        case FileFlag():
            return _FlagFile(section)
        case EnvFlag():
            return _Environment(section)
        case CommandFlag():
            return _Program(section)
        case HttpFlag():
            return _Service(section)
        case ProxyFlag():
            return ProxyProvider(config.state.dir)


class _FlagFile:
    answers = True

    def __init__(self, section: FileFlag) -> None:
        self._path = section.path
        self.label = f"file {section.path}"
        self.follows = follows("both")

    def says(self) -> Saying:
        try:
            reads, writes = flag_file.decode(self._path.read_bytes())
        except FileNotFoundError:
            return Saying(Side.SQLITE, Side.SQLITE)  # so applications take it
        except OSError as error:
            return Saying(problem=f"it cannot be read: {error.strerror}")
        except ValueError as error:
            return Saying(problem=f"it is no flag file: {error}")
        return Saying(Side(reads), Side(writes))

    def would_say(self, state: FlagState) -> Saying:
        return Saying(state.reads, state.writes)

    def set(self, state: FlagState) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        _replace(self._path, flag_file.encode(state.reads, state.writes, at))


class _Environment:
    answers = True

    def __init__(self, section: EnvFlag) -> None:
        self._section = section
        self._sides = {Side.SQLITE: section.sqlite, Side.POSTGRES: section.postgres}
        self.label = f"env {section.path}"
        self.follows = follows(section.switch)

    def says(self) -> Saying:
        try:
            found = values(self._section.path.read_bytes(), self._section.sqlite)
        except OSError as error:
            return Saying(problem=f"it cannot be read: {error.strerror}")
        except UnreadableLine as error:
            return Saying(problem=str(error))
        for side, wanted in self._sides.items():
            if found == wanted:
                return saying_of(side, self._section.switch)
        # Which value it is stays unsaid: the address of a database may hold a password.
        return Saying(problem=f"{', '.join(found)}: neither the value of SQLite nor that of Postgres")

    def would_say(self, state: FlagState) -> Saying:
        return saying_of(side_of(state, self._section.switch), self._section.switch)

    def set(self, state: FlagState) -> None:
        wanted = self._sides[side_of(state, self._section.switch)]
        try:
            before = self._section.path.read_bytes()  # a file that is not there is a mistake, and none is made
            after = with_values(before, wanted)
        except OSError as error:
            raise FlipFailed(f"it cannot be read: {error.strerror}") from None
        except UnreadableLine as error:
            raise FlipFailed(str(error)) from None
        _replace(self._section.path, after)


class _Program:
    answers = False

    def __init__(self, section: CommandFlag) -> None:
        self._section = section
        self.label = f"command {' '.join(section.postgres)}"
        self.follows = follows(section.switch)

    def says(self) -> Saying:
        return Saying()

    def would_say(self, state: FlagState) -> Saying:
        return saying_of(side_of(state, self._section.switch), self._section.switch)

    def set(self, state: FlagState) -> None:
        side = side_of(state, self._section.switch)
        words = self._section.sqlite if side is Side.SQLITE else self._section.postgres
        # Into a file: what the program leaves running may keep a pipe open for ever.
        with tempfile.TemporaryFile() as output:
            code = self._run(words, state, output.fileno())
            if code != 0:
                raise FlipFailed(f"it ended with code {code}{_tail(output.fileno())}")

    def _run(self, words: list[str], state: FlagState, output: int) -> int:
        told = {"CDC_READS": state.reads.value, "CDC_WRITES": state.writes.value}
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **told},
                start_new_session=True,  # so that it can be ended with all that it started
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FlipFailed(f"it cannot be run: {reason}", unchanged=True) from None
        try:
            return process.wait(self._section.timeout_seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                late = f"it took longer than {self._section.timeout_seconds:g} seconds and was ended"
                raise FlipFailed(f"{late}{_tail(output)}") from None
            raise


class _Service:
    answers = False

    def __init__(self, section: HttpFlag) -> None:
        self._section = section
        parts = urlsplit(section.url)
        self.label = f"http {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # a query may hold a secret
        self.follows = follows(section.switch)

    def says(self) -> Saying:
        return Saying()

    def would_say(self, state: FlagState) -> Saying:
        return saying_of(side_of(state, self._section.switch), self._section.switch)

    def set(self, state: FlagState) -> None:
        section = self._section
        body = section.sqlite if side_of(state, section.switch) is Side.SQLITE else section.postgres
        headers = headers_in(section.headers_file, section.content_type)
        try:
            answer = ask(section.url, section.method, body, headers, section.timeout_seconds)
        except Unreached as error:
            raise FlipFailed(f"it gave no answer: {error}", unchanged=error.unseen) from None
        if not answer.fine:
            raise FlipFailed(f"it answered {answer.status}")


class ProxyProvider:
    """The shadow proxy, which sends reads and writes to one instance; so it moves with the writes."""

    answers = True
    label = "proxy"

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir
        self.follows = follows("both")

    def says(self) -> Saying:
        """Where it sends what users ask."""
        try:
            active = say_to_proxy(self._folder, "status").get("active")
        except ProxyAway as error:
            return Saying(problem=str(error))
        return saying_of(Side.POSTGRES if active == _ACTIVE[Side.POSTGRES] else Side.SQLITE, "both")

    def would_say(self, state: FlagState) -> Saying:
        """What it says once it is set."""
        return saying_of(side_of(state, "both"), "both")

    def set(self, state: FlagState) -> None:
        """Send all to the other instance from now on, held writes first; raises `FlipFailed`."""
        self._say(f"release {_ACTIVE[side_of(state, 'both')]}")

    def hold(self) -> None:
        """Have writes wait, a second each at most, and let those under way end; raises `FlipFailed`."""
        until = time.monotonic() + _UNDER_WAY_SECONDS
        writing = self._say("hold").get("writing")
        while writing and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
            writing = self._say("status").get("writing")

    def release(self) -> None:
        """Let them go on where they were going; raises `FlipFailed`."""
        self._say("release")

    def _say(self, command: str) -> dict[str, Any]:
        try:
            return say_to_proxy(self._folder, command)
        except ProxyAway as error:
            raise FlipFailed(str(error)) from None


def _replace(path: Path, content: bytes) -> None:
    try:
        replace_content(path, content)
    except OSError as error:
        raise FlipFailed(f"it cannot be written: {error.strerror}") from None


def _tail(output: int) -> str:
    size = os.fstat(output).st_size
    said = os.pread(output, 4 * _TAIL, max(0, size - 4 * _TAIL)).decode("utf-8", "replace")
    words = redact(" ".join(said.split()))[-_TAIL:]
    return f": {words}" if words else ""
