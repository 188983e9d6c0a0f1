"""The server over HTTP: through the openai SDK, by hand where the SDK would hide something, and as a real job."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.loopback import serving
from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import status, stop
from workbench.models.client import ChatMessage, Reply, Request
from workbench.models.open import LocalClient, open_client
from workbench.models.openai_client import OpenAIClient
from workbench.models.server.app import Service, build_app
from workbench.models.server.engine import load_engine
from workbench.models.server.ensure import ensure_server, health, model_path, running_server, serve_args, wait_ready
from workbench.models.server.job import listen

OPEN = Request((ChatMessage("system", "You are a travel agent."),), max_tokens=12)


@pytest.fixture(scope="module")
def service(model_folder: Path) -> Iterator[Service]:
    engine = load_engine(model_folder, "float32")
    engine.start()
    yield Service(engine, "tiny", token="open sesame")
    engine.close()


@pytest.fixture(scope="module")
def address(service: Service) -> Iterator[str]:
    with serving(build_app(service)) as found:
        yield found


@pytest.fixture
async def client(address: str) -> AsyncIterator[OpenAIClient]:
    client = OpenAIClient("tiny", "open sesame", f"{address}/v1", constraint="choice")
    yield client
    await client.close()


def until(done: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.02)
    return done()


async def test_the_agent_opens_and_a_stream_says_the_same(client: OpenAIClient) -> None:
    whole = await client.complete(OPEN)
    pieces = [piece async for piece in client.stream(OPEN)]
    reply = pieces.pop()
    assert isinstance(reply, Reply)
    assert whole.text == reply.text == "".join(str(p) for p in pieces)
    assert (reply.stop_reason, reply.usage.output) == (whole.stop_reason, whole.usage.output)
    assert whole.usage.output > 0
    assert reply.usage.cache_read > reply.usage.input == 1


async def test_choices_come_back_with_their_scores(client: OpenAIClient) -> None:
    request = Request(OPEN.messages, choices=("yes", "no", "maybe later"))
    reply = await client.complete(request)
    assert reply.text in request.choices
    scores = reply.detail["scores"]
    assert isinstance(scores, dict)
    assert max(scores, key=lambda text: float(scores[text])) == reply.text
    streamed = [piece async for piece in client.stream(request)]
    assert streamed[0] == reply.text
    assert isinstance(streamed[-1], Reply)
    assert streamed[-1].detail["scores"] == scores


async def test_many_at_once_get_what_each_would_get_alone(client: OpenAIClient) -> None:
    requests = [Request((*OPEN.messages, ChatMessage("user", f"number {i}")), max_tokens=8) for i in range(10)]
    together = await asyncio.gather(*(client.complete(r) for r in requests))
    alone = [await client.complete(r) for r in requests]
    assert [r.text for r in together] == [r.text for r in alone]


async def test_the_api_refuses_what_it_cannot_do(address: str) -> None:
    said = [{"role": "user", "content": "hi"}]
    headers = {"authorization": "Bearer open sesame"}
    cases: list[tuple[object, int]] = [
        ({"messages": []}, 400),
        ({"messages": [{"role": "wizard", "content": "x"}]}, 400),
        ({"messages": said, "n": 2}, 400),
        ({"messages": said, "temperature": -1}, 400),
        ({"messages": said, "max_tokens": 0}, 400),
        ({"messages": said, "structured_outputs": {"regex": "a"}}, 400),
        ({"messages": [{"role": "user", "content": "far too long " * 400}]}, 400),
        ([1, 2], 400),
    ]
    async with httpx.AsyncClient(base_url=address, headers=headers, trust_env=False, timeout=60) as http:
        for body, expected in cases:
            answer = await http.post("/v1/chat/completions", json=body)
            assert answer.status_code == expected, body
            assert answer.json()["error"]["message"]
        assert (await http.post("/v1/chat/completions", content=b"{")).status_code == 400
        assert (await http.get("/v1/models")).json()["data"][0]["id"] == "tiny"
        wrong = await http.get("/v1/models", headers={"authorization": "Bearer wrong"})
        assert wrong.status_code == 401
        found = (await http.get("/health")).json()
    assert {"active", "queued", "rss_bytes", "cache_bytes", "cache_limit", "tokens_per_s", "idle_s"} <= set(found)


async def test_a_client_that_leaves_frees_its_slot(address: str, service: Service) -> None:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 450, "temperature": 2.0}
    before = service.engine.load().requests
    headers = {"authorization": "Bearer open sesame"}
    async with httpx.AsyncClient(base_url=address, headers=headers, trust_env=False, timeout=60) as http:
        async with http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as answer:
            await anext(answer.aiter_lines())
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/v1/chat/completions", json={**body, "seed": 5}, timeout=0.05)
    assert await asyncio.to_thread(until, lambda: service.engine.load().active == 0 and service.running == 0)
    assert service.engine.load().requests >= before + 1


def test_an_occupied_port_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port}: Address already in use; choose another"):
            listen(port)


def test_what_a_model_name_means(home: Home, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert model_path(home, str(tmp_path)) == tmp_path.resolve()
    inside = home.jobs / "0123456789abcdef"
    (inside / "best").mkdir(parents=True)
    with pytest.raises(UserError, match="no model"):
        model_path(home, "nothing")
    (inside / "job.json").write_text("{}")
    with pytest.raises(UserError, match="no checkpoint yet"):
        model_path(home, "0123456789abcdef")
    (inside / "best" / "config.json").write_text("{}")
    assert model_path(home, "01234567") == inside / "best"


@pytest.fixture
def model_folder_copy(tmp_path: Path, model_folder: Path) -> Path:
    import shutil

    return Path(shutil.copytree(model_folder, tmp_path / "model")).resolve()


async def test_a_served_model_is_joined_restarted_and_stopped(
    home: Home, model_folder_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_THREADS", "1")
    client = open_client(f"local/{model_folder_copy}", home)
    first = await client.complete(OPEN)
    info = ensure_server(home, model_folder_copy)
    assert (info.model, health(info)["requests"]) == ("model", 1)
    assert info.token
    assert info.token not in repr(info)
    token_file = home.jobs / info.job_id / "token"
    assert token_file.stat().st_mode & 0o777 == 0o600
    assert stop(home, info.job_id).state == "stopped"
    assert running_server(home, model_folder_copy) is None
    assert (await client.complete(OPEN)).text == first.text, "the server is started again when it is needed"
    await client.close()
    stop(home, info.job_id)


def test_a_server_nobody_uses_stops_by_itself_and_a_bad_one_says_why(
    home: Home, model_folder_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.jobs import launch, wait

    monkeypatch.setenv("WORKBENCH_THREADS", "1")
    args = serve_args(model_folder_copy, port=0, idle_minutes=0.001)
    ended = wait(home, launch(home, "serve", args, "serve").id, timeout=120)
    assert (ended.state, ended.result["ended"]) == ("done", "idle")
    empty = launch(home, "serve", {"model": str(home.root), "port": 0}, "serve nothing")
    with pytest.raises(UserError, match="no model here"):
        wait_ready(home, empty.id, 120)
    assert status(home, empty.id).state == "failed"


def test_a_local_client_costs_nothing_to_open(home: Home, model_folder: Path) -> None:
    assert LocalClient(home, model_folder).model == model_folder.name
    assert not list(home.jobs.iterdir())


async def test_pieces_of_a_stream_leave_at_once() -> None:
    """Nagle's algorithm would hold each back until the one before is acknowledged, 40 ms later."""
    seen: asyncio.Queue[int] = asyncio.Queue()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        option = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        seen.put_nowait(option)
        writer.close()

    with listen(0) as listener:
        async with await asyncio.start_server(met, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await seen.get()
            writer.close()
