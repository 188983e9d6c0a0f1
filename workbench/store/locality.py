"""Whether a folder lies on a network file system, where SQLite's shared-memory log does not work."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

_NETWORK = {
    "9p", "afp", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "virtiofs", "wekafs",
}  # fmt: skip
_NETWORK_FUSE = ("beegfs", "ceph", "davfs", "gcsfuse", "glusterfs", "goofys", "juicefs", "rclone", "s3fs", "sshfs")


@lru_cache(maxsize=64)
def is_network(folder: Path) -> bool:
    """True if `folder` is mounted over a network; False where the mounts cannot be read."""
    return _is_network_type(file_system(folder))


def file_system(folder: Path) -> str:
    """The type of the file system that holds `folder` ("ext4", "nfs4", …), or "" if it cannot be told."""
    try:
        where = folder.resolve()
        mounts = _mounts()
    except OSError:
        return ""
    # Later mounts cover earlier ones at the same point, so the last of the longest wins.
    best = ("", "")
    for point, kind in mounts:
        if where.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def _mounts() -> list[tuple[str, str]]:
    listing = Path("/proc/self/mounts")
    if listing.exists():
        rows = [line.split() for line in listing.read_text(errors="replace").splitlines()]
        return [(_unescape(row[1]), row[2]) for row in rows if len(row) > 2]
    import psutil  # not on Linux; imported here because it costs more than everything else in this room

    return [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]


def _unescape(point: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, char)
    return point


def _is_network_type(kind: str) -> bool:
    kind = kind.lower()
    return kind in _NETWORK or (kind.startswith("fuse.") and kind[5:].startswith(_NETWORK_FUSE))
