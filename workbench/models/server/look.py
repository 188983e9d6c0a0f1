"""The local servers as people look at them: which run, and what each says of its health, load and memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.home import Home
from workbench.jobs.folder import read_job
from workbench.models.server.ensure import ServerInfo, health, servers
from workbench.models.server.job import IDLE_MINUTES


def look(home: Home) -> list[dict[str, Any]]:
    """Every running server: job, model, engine, address, minutes without use after which it stops, and its load (a
    front's also replica by replica)."""
    return [
        {
            "job": info.job_id,
            "model": info.model,
            "engine": engine_of(info),
            "url": info.url,
            "idle_minutes": idle_minutes(home, info),
            **load_of(info),
        }
        for info in servers(home)
        if not info.front
    ]


def engine_of(info: ServerInfo) -> str:
    """Who serves it, and how many of them."""
    return info.program + (f" x{info.replicas}" if info.replicas > 1 else "")


def idle_minutes(home: Home, info: ServerInfo) -> float:
    """After so many minutes without use the server stops; 0: never."""
    return float(read_job(home.jobs / info.job_id).args.get("idle_minutes", IDLE_MINUTES))


def load_of(info: ServerInfo) -> Mapping[str, Any]:
    """What a server says of itself; `status` is "no answer" where it says nothing."""
    try:
        return health(info)
    except (OSError, ValueError):
        return {"status": "no answer"}


def load_words(load: Mapping[str, Any]) -> str:
    """A server's load in one line."""
    if load.get("status") != "ok":
        return str(load.get("status", "no answer"))
    words = [f"{load.get('active', 0):g} running, {load.get('queued', 0):g} waiting"]
    if load.get("tokens_per_s"):
        words.append(f"{load['tokens_per_s']:.0f} tokens/s")
    if load.get("rss_bytes"):
        words.append(f"{load['rss_bytes'] / 1e9:.1f} GB")
    if load.get("cache_limit"):
        words.append(f"cache {load['cache_bytes'] / 1e6:.0f} of {load['cache_limit'] / 1e6:.0f} MB")
    if "cache_share" in load:
        words.append(f"cache {load['cache_share']:.0%} full")
    if load.get("idle_s"):
        words.append(f"idle for {load['idle_s']:.0f} s")
    return ", ".join(words)
