"""What is refused of a path before SQLite opens it: no file, a folder, a pipe, a network file system."""

import re
import stat
from pathlib import Path
from typing import Final

from cdc.errors import SourceUnavailable

_MOUNTINFO: Final = Path("/proc/self/mountinfo")
# File systems where locks or the shared memory of WAL do not reach the machine on which the application runs.
_NETWORK: Final = frozenset(
    [
        *["nfs", "nfs3", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "glusterfs"],
        *["lustre", "beegfs", "gfs2", "ocfs2", "davfs", "fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse"],
        *["fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.cephfs", "fuse.davfs2", "fuse.curlftpfs"],
        *["fuse.smbnetfs", "fuse.juicefs", "fuse.mfs", "fuse.moosefs", "fuse.goofys", "fuse.nfs"],
    ]
)


def refuse_network_filesystem(path: Path, mountinfo: str | None = None) -> None:
    """Raises `SourceUnavailable` when the path is on a network file system, told by /proc/self/mountinfo.

    Says nothing where the kernel gives no such list.
    """
    if mountinfo is None:
        try:
            mountinfo = _MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return
    point, kind = _mount_of(path.resolve(), mountinfo)
    if kind in _NETWORK:
        raise SourceUnavailable(
            f"SQLite file {path} is on a network file system ({kind} at {point}): "
            "locks and WAL do not work reliably there, so changes could be lost",
            remedy="run this tool on the machine whose disk holds the file",
        )


def _mount_of(path: Path, mountinfo: str) -> tuple[str, str]:
    """The mount point that holds a path and its file system type; a later mount hides an earlier one."""
    best = ("", "")
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")[0]
        if len(fields) < 5 or not kind:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape[1], 8)), fields[4])
        if path.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best


def require_file(path: Path) -> None:
    """Raises `SourceUnavailable` when there is no file, or none that can be reached."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise SourceUnavailable(
            f"SQLite file {path} does not exist",
            remedy="correct the path (`path` in [source]), or make its disk available: is it mounted?",
        ) from None
    except OSError as error:
        raise unreachable(path, error) from None
    if stat.S_ISDIR(mode):
        raise SourceUnavailable(
            f"SQLite file {path} is a folder", remedy="name the database file inside it (`path` in [source])"
        )
    if not stat.S_ISREG(mode):  # opening a pipe waits for ever, and a device may be read without an end
        raise SourceUnavailable(
            f"SQLite file {path} is a pipe, a socket or a device",
            remedy="name the application's database file (`path` in [source])",
        )


def unreachable(path: Path, error: OSError) -> SourceUnavailable:
    """The error of a path that this user may not reach or read."""
    return SourceUnavailable(
        f"SQLite file {path} cannot be reached: {error.strerror}",
        remedy="let the user that runs this tool enter the folders above the file, and read and write the file",
    )
