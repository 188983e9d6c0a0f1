"""Where things made at run time lie: `runs/` under the home folder, private to its owner."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


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
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self


def find_home(option: str | None = None) -> Home:
    """The home in force: `--home`, else WORKBENCH_HOME, else `runs/` under the current folder."""
    chosen = option or os.environ.get("WORKBENCH_HOME")
    root = Path(chosen).expanduser() / "runs" if chosen else Path.cwd() / "runs"
    return Home(root.absolute())
