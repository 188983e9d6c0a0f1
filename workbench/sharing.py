"""Who may use a home: its owner alone, or a group of people who review the same record. Modes and group of all files.

SQLite's side files take after the database, and every new file after its folder (`workbench.home`), so that it is
enough to set the modes once.
"""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import UserError
from workbench.home import PRIVATE, SHARED, Home
from workbench.text import clean_line


@dataclass(frozen=True, slots=True)
class Access:
    """How a home's files stand: `others` are those that are open to more people than the home, `closed` those that the
    group of a shared home cannot use; `group` is "" in a private home.
    """

    shared: bool
    group: str
    files: int
    others: tuple[Path, ...] = ()
    closed: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """What `set_access` did: how many files and folders it changed, and those that belong to somebody else."""

    group: str
    changed: int
    refused: tuple[Path, ...] = ()


def access(home: Home) -> Access:
    """Look at every file of the home."""
    shared = home.shared
    others: list[Path] = []
    closed: list[Path] = []
    count = 0
    for path, now in _everything(home.root):
        count += 1
        wanted = (SHARED if shared else PRIVATE)[stat.S_ISDIR(now.st_mode)]
        if stat.S_IMODE(now.st_mode) & 0o777 & ~wanted & ~0o100:
            others.append(path)
        elif shared and wanted & ~stat.S_IMODE(now.st_mode):
            closed.append(path)
    return Access(shared, _group_of(home.root) if shared else "", count, tuple(others), tuple(closed))


def set_access(home: Home, group: str | None, *, private: bool = False) -> Changed:
    """Give the home to its owner alone (`private`) or to a group as well: `group`, else the one it belongs to.

    May be run again by each of its users, who can change their own files only. Raises UserError for an unknown group.
    """
    gid = None if group is None else _gid(group)
    changed, refused = 0, []
    modes = PRIVATE if private else SHARED
    for path, now in _everything(home.make().root):
        wanted = modes[stat.S_ISDIR(now.st_mode)]
        try:
            if gid is not None and now.st_gid != gid:
                os.chown(path, -1, gid, follow_symlinks=False)
            if stat.S_IMODE(now.st_mode) != wanted or (gid is not None and now.st_gid != gid):
                path.chmod(wanted)
                changed += 1
        except FileNotFoundError:
            continue  # a job has replaced it meanwhile
        except PermissionError:
            refused.append(path)
    return Changed("" if private else _group_of(home.root), changed, tuple(refused))


def _everything(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The folder and all in it, folders before what they hold; links are left out."""
    waiting = [root]
    while waiting:
        path = waiting.pop()
        try:
            now = path.lstat()
            inside = list(path.iterdir()) if stat.S_ISDIR(now.st_mode) else []
        except OSError:
            continue
        if not stat.S_ISLNK(now.st_mode):
            yield path, now
            waiting += inside


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        if group.isdecimal():
            return int(group)
        raise UserError(f'no group "{clean_line(group, 40)}" on this machine: `groups` shows yours') from None


def _group_of(path: Path) -> str:
    gid = path.stat().st_gid
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
