"""Where things made at run time lie: `runs/` under the home folder, private to its owner or shared with a group.

Files and folders take after the folder they are made in: in one that hands its group on (2770, as `workbench share`
makes it) they get 0660 and 2770, in any other 0600 and 0700, whatever the umask.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PRIVATE = (0o600, 0o700)
SHARED = (0o660, 0o2770)
LARGE_RECORD = 256 << 20
"""Bytes of a record that is not brought up to date in a moment (it is copied first): it is said then, before the app draws."""
"""Modes of files and folders."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds everything made at run time. Every path below is made on demand with mode 0700."""

    root: Path

    @property
    def database(self) -> Path:
        """The SQLite record."""
        return self.root / "workbench.db"

    @property
    def jobs(self) -> Path:
        """One folder a job."""
        return self.root / "jobs"

    @property
    def models(self) -> Path:
        """Base models, converted once."""
        return self.root / "models"

    @property
    def state(self) -> Path:
        """What the terminal app remembers between two starts."""
        return self.root / "state"

    @property
    def sample(self) -> Path:
        """A file that is there if everything in here is sample data; the app says so on every screen."""
        return self.root / "SAMPLE"

    def make(self) -> Home:
        """Create the folders (0700) if they are missing and return self."""
        for folder in (self.root, self.jobs, self.models, self.state):
            make_folder(folder)
        return self

    @property
    def shared(self) -> bool:
        """Whether a group works in it."""
        return is_shared(self.root)


def is_shared(folder: Path) -> bool:
    """Whether `folder` is its group's: they may write there, and it hands itself on to what is made in it.

    Group-writable alone says nothing (a umask of 002, or /tmp). False if it is not there.
    """
    try:
        mode = folder.stat().st_mode
    except OSError:
        return False
    return mode & SHARED[1] == SHARED[1] and not mode & stat.S_IWOTH


def open_private(file: Path, flags: int) -> int:
    """A descriptor of `file`, which is made if it is missing (for writing, with `flags` of os.open besides)."""
    handle = os.open(file, flags | os.O_CREAT, PRIVATE[0])
    if is_shared(file.parent):
        with suppress(OSError):  # another member's file has its mode already
            os.fchmod(handle, SHARED[0])
    return handle


def take_after_folder(file: Path, folder: Path) -> None:
    """Give a file that somebody else made the mode that files of `folder` have."""
    file.chmod((SHARED if is_shared(folder) else PRIVATE)[0])


def make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it; one that is there stays as it is."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=PRIVATE[1])
        if is_shared(folder.parent):
            folder.chmod(SHARED[1])


def umask_in(folder: Path) -> int:
    """The umask under which libraries make their files there."""
    return 0o007 if is_shared(folder) else 0o077


def find_home(option: str | None = None) -> Home:
    """The home in force: `--home`, else WORKBENCH_HOME, else `runs/` under the current folder."""
    chosen = option or os.environ.get("WORKBENCH_HOME")
    root = Path(chosen).expanduser() / "runs" if chosen else Path.cwd() / "runs"
    return Home(root.absolute())
