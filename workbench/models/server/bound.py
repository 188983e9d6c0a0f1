"""Run by file: `bound.py PARENT PROGRAM ARG…` becomes the program, which on Linux is told to end when the parent dies.

So a server is never left behind by a job that was killed with SIGKILL. The wish outlives exec and is made here, in the
new process, since nothing may run between fork and exec in a parent that has threads. The kernel watches the parent's
thread that started us: it must be its main one. Elsewhere the program runs unbound (see `end_left_over`).
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


def main(parent: int, argv: list[str]) -> None:
    """Never returns. SIGTERM, so that a program with processes of its own can end these too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:  # it died before the wish was made
            sys.exit(1)
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
