"""A systemd unit for one installation: the packaged one with its program, paths and user filled in, nothing else."""

import os
import pwd
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdc import resources
from cdc.config import Config
from cdc.errors import UsageError
from cdc.sqlite.connection.file import require_file

_NAME: Final = re.compile(r"[\w.:-]+", re.ASCII)
_ACCOUNT: Final = re.compile(r"[a-z_][a-z0-9_-]*\$?", re.ASCII | re.IGNORECASE)
_SPECIAL: Final = re.compile(r"[\s\"'\\;:]")
# PrivateTmp= gives the service folders of its own for these; what it shares with others there must be brought in.
_PRIVATE: Final = (Path("/tmp"), Path("/var/tmp"))


@dataclass(frozen=True, slots=True)
class ServiceKind:
    """What a unit runs: the packaged one that it is made from, the command, and what that does in words.

    `suffix` tells its name from the daemon's.
    """

    packaged: str
    command: tuple[str, ...]
    does: str
    suffix: str = ""


DAEMON: Final = ServiceKind("cdc.service", ("up",), "Replicate {file} to Postgres")
PROXY: Final = ServiceKind(
    "cdc-proxy.service", ("shadow", "proxy"), "Serve the users of {file}, and compare its answers on Postgres", "-proxy"
)


@dataclass(frozen=True, slots=True)
class Installation:
    """What differs from one installation to the next.

    `source` is the file itself, `link` where the configuration names it. `group` is None where the user's own is right;
    `offline` is True where nothing is reached over a network.
    """

    name: str
    program: tuple[str, ...]
    config_file: Path
    source: Path
    link: Path
    state: Path
    account: pwd.struct_passwd
    group: int | None
    embedded: bool
    offline: bool
    kind: ServiceKind = DAEMON

    @property
    def unit(self) -> str:
        """The unit's name, without what all services end with."""
        return f"{self.name}{self.kind.suffix}"

    @property
    def user(self) -> str:
        """The account as a unit names it."""
        return self.account.pw_name if _ACCOUNT.fullmatch(self.account.pw_name) else str(self.account.pw_uid)


def installation(
    config: Config, config_file: Path, user: str | None, name: str | None, kind: ServiceKind = DAEMON
) -> Installation:
    """How `cdc` is installed here; raises `UsageError`, and `SourceUnavailable` when there is no SQLite file."""
    require_file(config.source.path)
    source = config.source.path.resolve()
    owner = source.stat()
    account = _account(str(owner.st_uid) if user is None else user)
    stem = config_file.stem
    made = Installation(
        name=(stem if stem == "cdc" else f"cdc-{stem}") if name is None else name,
        program=_program(),
        config_file=config_file.resolve(),
        source=source,
        link=config.source.path,
        state=config.state.dir.resolve(),
        account=account,
        group=None if account.pw_uid == owner.st_uid else owner.st_gid,
        embedded=config.target.embedded,
        offline=kind is DAEMON and config.target.embedded and config.metrics.listen is None,
        kind=kind,
    )
    if not _NAME.fullmatch(made.name):
        raise UsageError(f"a unit cannot be named {made.name}", remedy="use letters, digits and dashes")
    return made


def _program() -> tuple[str, ...]:
    command = Path(sys.executable).with_name("cdc")
    return (str(command),) if command.is_file() else (sys.executable, "-m", "cdc")


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        pass
    if user.isdecimal():  # of a container, and without a name on this machine
        return pwd.struct_passwd((user, "", int(user), int(user), "", "/", ""))
    raise UsageError(f"there is no user {user} on this machine", remedy="name one of `getent passwd`, or a number")


def render(made: Installation) -> str:
    """The unit; every line of the packaged one that is no part of an installation stays as it is there."""
    _, _, body = (resources.folder("systemd") / made.kind.packaged).read_text("utf-8").partition("[Unit]\n")
    own = _own_lines(made)
    lines: list[str] = []
    for line in body.splitlines():
        key = line.removeprefix("#").partition("=")[0]
        lines += own.get(key, [line])
    return "\n".join([*_header(made), "", "[Unit]", *lines, ""])


def _header(made: Installation) -> list[str]:
    return [
        f"# For {made.source}, as {made.config_file} says. Printed by `cdc unit`; to be used as",
        f"# /etc/systemd/system/{made.unit}.service, then:",
        f"#   sudo systemctl daemon-reload && sudo systemctl enable --now {made.unit}",
    ]


def _own_lines(made: Installation) -> dict[str, list[str]]:
    """What stands in place of the lines with these keys, commented out or not."""
    command = [*made.program, "-c", str(made.config_file), *made.kind.command]
    own = {
        "Description": ["Description=" + made.kind.does.format(file=_escaped(made.source.name))],
        "Documentation": [],
        "Environment": [],
        "EnvironmentFile": [f"EnvironmentFile=-/etc/cdc/{made.name}.env"],
        "WorkingDirectory": ["WorkingDirectory=/"],
        "ExecStart": ["ExecStart=" + " ".join(_word(part).replace("$", "$$") for part in command)],
        "User": [f"User={made.user}", *([f"Group={made.group}"] if made.group is not None else [])],
        "StateDirectory": [],
        "StateDirectoryMode": [],
        "ReadWritePaths": list(_access(made)),
    }
    if made.kind is PROXY:
        own["After"] = [f"After=network-online.target postgresql.service {made.name}.service"]
    if made.offline:
        own["PrivateNetwork"] = ["PrivateNetwork=yes"]
        own["RestrictAddressFamilies"] = ["RestrictAddressFamilies=AF_UNIX"]
    if made.embedded and made.account.pw_uid == 0:
        # Linux lets only who has this power map root to somebody else, in a user namespace.
        own["CapabilityBoundingSet"] = [
            "# Postgres refuses to be root: it runs in a namespace where it is somebody else.",
            "CapabilityBoundingSet=CAP_SETFCAP",
        ]
        own["RestrictNamespaces"] = ["RestrictNamespaces=user"]
    return own


def _access(made: Installation) -> Iterator[str]:
    writable = sorted({made.source.parent, made.state})
    if shared := [path for path in writable if not _hidden(path)]:
        yield "ReadWritePaths=" + " ".join(map(_word, shared))
    for path in filter(_hidden, writable):
        yield "BindPaths=" + _word(path)
    readable = {path.parent for path in (made.config_file, made.link) if _hidden(path)}
    for path in sorted(readable - set(writable)):
        yield "BindReadOnlyPaths=" + _word(path)


def _hidden(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _PRIVATE)


def _word(text: str | Path) -> str:
    """One word of a list in a unit: in quotes where it needs them, and nothing in it is a specifier."""
    plain = _escaped(str(text))
    if not _SPECIAL.search(plain):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(text: str) -> str:
    if not text.isprintable():
        raise UsageError(
            f"a unit cannot name {text!a}: it holds a control character", remedy="link it under another name"
        )
    return text.replace("%", "%%")


# --- what stands in its way -------------------------------------------------------------------------------------------


def obstacles(made: Installation) -> list[str]:
    """What has to be done before the unit can run, in words."""
    found = []
    if not made.state.is_dir():
        found.append(f"{made.state} does not exist yet: sudo install -d -m 0700 -o {made.user} {_shown(made.state)}")
    elif made.state.stat().st_uid != made.account.pw_uid:
        found.append(f"{made.state} belongs to another user: sudo chown -R {made.user} {_shown(made.state)}")
    for path, need in ((Path(made.program[0]), os.X_OK), (made.config_file, os.R_OK), (made.source, os.W_OK)):
        if not _may(made, path, need):
            found.append(f"{made.user} may not {_NEEDS[need]} {path}, or not enter a folder above it")
    return found


_NEEDS: Final = {os.X_OK: "run", os.R_OK: "read", os.W_OK: "write"}


def _may(made: Installation, path: Path, need: int) -> bool:
    """Whether permissions allow the user that, judged by their bits alone."""
    needs = [(path, need), *((folder, os.X_OK) for folder in path.parents)]
    return made.account.pw_uid == 0 or all(_allowed(made, file.stat(), bit) for file, bit in needs)


def _allowed(made: Installation, facts: os.stat_result, need: int) -> bool:
    groups = os.getgrouplist(made.account.pw_name, made.account.pw_gid)
    if facts.st_uid == made.account.pw_uid:
        shift = 6
    elif facts.st_gid in (*groups, made.group):
        shift = 3
    else:
        shift = 0
    return bool(facts.st_mode >> shift & need)


def _shown(path: Path) -> str:
    return shlex.quote(str(path))
