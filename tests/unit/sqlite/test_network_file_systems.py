"""Files on network file systems are refused before anything is opened."""

from pathlib import Path

import pytest

from cdc.errors import SourceUnavailable
from cdc.sqlite.connection.file import refuse_network_filesystem

LOCAL = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n23 22 8:2 / /data rw - xfs /dev/sdb1 rw\n"
NFS = "40 23 0:50 / /data/nas rw,relatime shared:2 master:1 - nfs4 nas:/export rw\n"


@pytest.mark.parametrize(
    ("path", "mounts", "kind"),
    [
        ("/data/nas/app.db", LOCAL + NFS, "nfs4"),
        ("/data/nas/deep/er/app.db", LOCAL + NFS, "nfs4"),
        ("/mnt/my share/app.db", LOCAL + r"41 22 0:51 / /mnt/my\040share rw - cifs //nas/share rw", "cifs"),
        ("/mnt/ssh/app.db", LOCAL + "42 22 0:52 / /mnt/ssh rw - fuse.sshfs host:/ rw", "fuse.sshfs"),
        ("/data/app.db", LOCAL + "43 22 0:53 / /data rw - nfs nas:/over rw", "nfs"),
    ],
)
def test_network_file_systems_are_refused_with_the_reason(path: str, mounts: str, kind: str) -> None:
    with pytest.raises(SourceUnavailable, match=f"network file system \\({kind} at") as refused:
        refuse_network_filesystem(Path(path), mounts)
    assert "machine whose disk" in refused.value.remedy


@pytest.mark.parametrize(
    ("path", "mounts"),
    [
        ("/data/app.db", LOCAL + NFS),
        ("/data/nascent/app.db", LOCAL + NFS),
        ("/data/nas/local/app.db", LOCAL + NFS + "44 40 8:3 / /data/nas/local rw - btrfs /dev/sdc1 rw"),
        ("/anywhere/app.db", ""),
        ("/anywhere/app.db", "a line that means nothing"),
    ],
)
def test_local_file_systems_pass(path: str, mounts: str) -> None:
    refuse_network_filesystem(Path(path), mounts)
