"""The words for where work is done: here, on a local cluster, or on one that runs already."""

from __future__ import annotations

import os
import re
import secrets
from importlib.util import find_spec

from workbench.errors import UserError
from workbench.text import clean_line

HERE = ""
_ADDRESS = re.compile(r"(ray://)?[\w.-]+:\d{1,5}|ray://[\w.-]+")


def parse_where(text: str | None) -> str:
    """`here` or None ("": this process), `ray` (a cluster of this machine's cores, for this job), `ray://ADDRESS` (through
    the cluster's client port), `HOST:PORT` (from one of its machines). Raises UserError, also where Ray is missing.
    """
    if text in (None, "", "here"):
        return HERE
    assert text is not None
    if text != "ray" and not _ADDRESS.fullmatch(text):
        raise UserError(
            f'--on "{clean_line(text, 80)}": write ray, ray://ADDRESS or HOST:PORT of a Ray cluster, or here'
        )
    if find_spec("ray") is None:
        raise UserError("--on needs Ray, which is not installed: pip install 'workbench[ray]'")
    if text.startswith("ray://") and find_spec("grpc") is None:
        raise UserError("ray:// goes through Ray's client, which needs grpcio: pip install 'workbench[ray]'")
    return text


def prepare(on: str) -> None:
    """Set what Ray reads when it is imported: no reports of its use, and for a cluster of ours a token made up here,
    since Ray's ports listen on every interface and would admit anybody."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if on == "ray":
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
