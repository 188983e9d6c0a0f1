"""A real Ray cluster of two nodes on this machine, and comparing records."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.loopback import serving
from tests.fakes.openai_server import Fake, app_for
from workbench.home import Home
from workbench.store.record import connect

ROOT = Path(__file__).parents[2]
KEYS = {"ANTHROPIC_API_KEY": "sk-ant-test-0123456789", "OPENAI_API_KEY": "sk-test-0123456789"}
_TIMES = {"created", "latency", "ttft", "latency_s", "ttft_s", "seconds", "model_s", "started"}
_MADE_UP = {"rowid", "job"}


@dataclass
class Nodes:
    """The cluster: `address` to join it by, `client` through Ray's client; `kill_second` takes one of its two nodes away."""

    address: str
    client: str
    cluster: Any
    second: Any = None

    def kill_second(self) -> None:
        """As a machine goes that loses its power."""
        node, self.second = self.second, None
        self.cluster.remove_node(node, allow_graceful=False)

    def complete(self) -> None:
        """Have two nodes again."""
        if self.second is None:
            self.second = self.cluster.add_node(num_cpus=1, object_store_memory=80 << 20)


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Nodes]:
    """Two nodes of one logical CPU each. Workers get the keys from their own environment, as on a real cluster."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'workbench[ray]'")
    before = dict(os.environ)
    os.environ.update(KEYS, PYTHONPATH=str(ROOT), RAY_USAGE_STATS_ENABLED="0")
    from ray.cluster_utils import Cluster

    port = free_port()
    head = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False, "ray_client_server_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield Nodes(cluster.address, f"ray://127.0.0.1:{port}", cluster)
    finally:
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def nodes(two_nodes: Nodes) -> Nodes:
    """Both nodes, whatever the test before has done to them."""
    two_nodes.complete()
    return two_nodes


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server() -> Iterator[Fake]:
    """An OpenAI-compatible service on loopback that takes the same time for every answer."""
    fake = Fake(script=["fine"], delay_s=0.05)
    with serving(app_for(fake)) as address:
        fake.url = address
        yield fake


def rows(home: Home) -> dict[str, list[str]]:
    """All that the record holds, without times and numbers of rows, in an order of its own."""
    tables = ("scenarios", "dialogues", "conversations", "messages", "measures", "verdicts", "calls")
    found = {}
    with connect(home) as rec:
        for table in tables:
            lines = [dict(row) for row in rec.query(f"SELECT * FROM {table}")]
            if table == "calls":
                lines = [{k: v for k, v in line.items() if k != "id"} for line in lines]
            found[table] = sorted(json.dumps(timeless(line), sort_keys=True) for line in lines)
    return found


def timeless(value: Any) -> Any:
    """The value without times, also inside JSON texts."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return timeless(json.loads(value))
        except ValueError:
            return value
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in _TIMES | _MADE_UP}
    return [timeless(v) for v in value] if isinstance(value, list) else value
