"""This machine as a server's address or a model's name says it."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


def on_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    return urlsplit(url).hostname in LOOPBACK_HOSTS


def is_local(model: str) -> bool:
    """Whether a model runs on a machine of ours (`local/…`, or a URL on loopback): no money is owed, its time costs."""
    return model.startswith("local/") or on_loopback(model)
