"""The section of the cutover: its limits, the flags that tell the application where to go, and the checks of that."""

import re
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from cdc.errors import ConfigError

FollowedSwitch = Literal["reads", "writes", "both"]
ExpectedValue: TypeAlias = str | int | float | bool

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What shells, systemd and libraries that read such files take for different things, in quotes too.
_READ_DIFFERENTLY: Final = re.compile(r"[\"'\\$`\x00-\x1f\x7f]")


class FileFlag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON file that says where reads and writes go; `cdc.flag` reads it."""

    kind: Literal["file"]
    path: Path


class EnvFlag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Variables in a file of the application's environment; all else in the file stays as it is, byte for byte."""

    kind: Literal["env"]
    path: Path
    switch: FollowedSwitch
    sqlite: dict[str, str]
    postgres: dict[str, str]


class CommandFlag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program that is run, such as a restart of the application once its environment has changed."""

    kind: Literal["command"]
    switch: FollowedSwitch
    sqlite: list[str]
    postgres: list[str]
    timeout_seconds: float = 60.0


class HttpFlag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request to a service that keeps flags, or to the application itself."""

    kind: Literal["http"]
    switch: FollowedSwitch
    url: str
    sqlite: str
    postgres: str
    method: str = "POST"
    content_type: str = "application/json"
    headers_file: Path | None = None
    timeout_seconds: float = 10.0


class ProxyFlag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`cdc shadow proxy` of this configuration, which sends everything to the other instance once writes move."""

    kind: Literal["proxy"]


FlagSection: TypeAlias = FileFlag | EnvFlag | CommandFlag | HttpFlag | ProxyFlag


class CheckSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question to the application once it was told to go to the other side: applications fall back silently."""

    name: str
    url: str
    after: Literal["reads", "writes"] = "reads"
    method: str = "GET"
    body: str | None = None
    content_type: str = "application/json"
    headers_file: Path | None = None
    sqlite: dict[str, ExpectedValue] = msgspec.field(default_factory=dict)
    postgres: dict[str, ExpectedValue] = msgspec.field(default_factory=dict)
    sql: str | None = None
    undo_url: str | None = None
    undo_method: str = "DELETE"
    timeout_seconds: float = 5.0  # for one answer
    within_seconds: float = 30.0  # for an application that begins again


class CutoverSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long a switch of writes may take, what must be known before, and how the application is told."""

    max_refused_seconds: float = 5.0
    wait_for_writers_seconds: float = 10.0
    tries: int = 3
    postgres_fence: Literal["triggers", "grants"] = "triggers"
    verified_within_hours: float = 24.0
    shadow_clean_hours: float = 0.0
    rehearsed_within_hours: float | None = None
    watch_p95_seconds: float = 0.0
    finalize_after_hours: float = 24.0
    flags: list[FlagSection] = msgspec.field(default_factory=list)
    checks: list[CheckSection] = msgspec.field(default_factory=list)

    @property
    def withholds_rights(self) -> bool:
        """Whether other roles have no right to write to Postgres while it is fenced."""
        return self.postgres_fence == "grants"


def check_flags(section: CutoverSection, file: str) -> None:
    """Raise `ConfigError` for a flag that could never be set as it is written."""
    for number, flag in enumerate(section.flags, 1):
        if isinstance(flag, EnvFlag):
            _check_variables(flag, f"cutover.flags {number}", file)
        elif isinstance(flag, CommandFlag) and not (flag.sqlite and flag.postgres):
            raise ConfigError(
                f"{file}: [cutover.flags {number}] names no program for one of the sides",
                remedy="write a program and its arguments as a list in both `sqlite` and `postgres`",
            )


def _check_variables(flag: EnvFlag, place: str, file: str) -> None:
    if not flag.sqlite or flag.sqlite.keys() != flag.postgres.keys() or flag.sqlite == flag.postgres:
        raise ConfigError(
            f"{file}: `sqlite` and `postgres` in [{place}] do not give the same variables other values",
            remedy='write both, such as `sqlite = { READS = "sqlite" }` and `postgres = { READS = "postgres" }`',
        )
    for name in flag.sqlite:
        if not _VARIABLE.fullmatch(name):
            raise ConfigError(
                f"{file}: `{name}` in [{place}] is no name of a variable",
                remedy="use letters, digits and underscores, and no digit first",
            )
        if any(_READ_DIFFERENTLY.search(values[name]) for values in (flag.sqlite, flag.postgres)):
            raise ConfigError(
                f"{file}: a value of `{name}` in [{place}] would not be read alike by every program",
                remedy="leave out quotes, backslashes, `$`, backquotes and line ends; a URL can have them as %27, %24",
            )
