"""One address for several replicas: conversations stay where they are, and go on elsewhere when a replica dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.loopback import serving
from tests.fakes.openai_server import Act, Fake, app_for
from workbench.errors import UserError
from workbench.models.server import replicas as fleet
from workbench.models.server.ensure import ServerInfo
from workbench.models.server.front import Front, Replica, build_front, conversation_key, to_replicas
from workbench.models.server.programs import Serving, command_for


def said(*words: str, system: str = "You book flights.") -> dict[str, Any]:
    """A request after so many messages; the agent opens."""
    roles = ("assistant", "user")
    talk = [{"role": roles[i % 2], "content": text} for i, text in enumerate(words)]
    return {"model": "m", "messages": [{"role": "system", "content": system}, *talk]}


@contextmanager
def front_of(count: int, token: str | None = None) -> Iterator[tuple[str, Front, list[Fake], list[ExitStack]]]:
    """A front before so many fakes, and what ends each of them."""
    with ExitStack() as all_:
        fakes, ends, there = [], [], []
        for number in range(count):
            fake, end = Fake(script=[f"I am {number}"]), ExitStack()
            address = end.enter_context(serving(app_for(fake)))
            all_.callback(end.close)
            fakes.append(fake)
            ends.append(end)
            info = ServerInfo(f"{address}/v1", "m", f"job{number}", Path(), token=f"secret{number}")
            there.append(Replica(number, info))
        front = Front("m", there, token)
        address = all_.enter_context(serving(build_front(front, to_replicas())))
        yield address, front, fakes, ends


def ask(address: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.post(f"{address}/v1/chat/completions", json=body, headers=headers, timeout=30, trust_env=False)


def text(answer: httpx.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])


def test_a_conversation_stays_on_one_replica_and_they_are_spread() -> None:
    with front_of(3) as (address, _, fakes, _ends):
        homes = set()
        for number in range(24):
            opening = ("Hello!", f"I am customer {number}")
            first = text(ask(address, said(*opening)))
            later = text(ask(address, said(*opening, "Where to?", "Paris")))
            assert first == later
            homes.add(first)
        assert homes == {"I am 0", "I am 1", "I am 2"}
        keys = {header["authorization"] for fake in fakes for header in fake.headers}
        assert keys == {"Bearer secret0", "Bearer secret1", "Bearer secret2"}


def test_when_a_replica_dies_only_its_conversations_move() -> None:
    with front_of(3) as (address, _front, _, ends):
        talks = [("Hello!", f"I am customer {number}") for number in range(18)]
        before = [text(ask(address, said(*talk))) for talk in talks]
        ends[1].close()
        after = [text(ask(address, said(*talk))) for talk in talks]
        assert all(b == a for b, a in zip(before, after, strict=True) if b != "I am 1")
        assert "I am 1" not in after
        assert {a for b, a in zip(before, after, strict=True) if b == "I am 1"} == {"I am 0", "I am 2"}
        ends[0].close()
        ends[2].close()
        gone = ask(address, said("Hello!", "x"))
        assert (gone.status_code, gone.json()["error"]["code"]) == (503, "no_replica")


def test_answers_pass_as_they_are_errors_and_streams_too() -> None:
    with front_of(1, token="mine") as (address, front, fakes, _):
        assert ask(address, said("Hello!", "x")).status_code == 401
        fakes[0].script = [Act(status=429, headers={"retry-after": "7"}), "one two three"]
        turned = ask(address, said("Hello!", "x"), authorization="Bearer mine")
        assert (turned.status_code, turned.headers["retry-after"]) == (429, "7")
        body = {**said("Hello!", "x"), "stream": True}
        streamed = ask(address, body, authorization="Bearer mine")
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert [word for word in ("one", "two", "three", "[DONE]") if word in streamed.text] == [
            "one",
            "two",
            "three",
            "[DONE]",
        ]
        assert (front.replicas[0].running, front.replicas[0].served) == (0, 2)


def test_what_makes_a_conversation() -> None:
    assert conversation_key(said()) is None
    assert conversation_key(said("Hello!")) is None
    assert conversation_key(said("Hello!", "a")) == conversation_key(said("Hello!", "a", "b", "c"))
    assert conversation_key(said("Hello!", "a")) != conversation_key(said("Hello!", "b"))
    assert conversation_key({**said("Hello!", "a"), "user": "u"}) == "u"
    assert conversation_key({"messages": 3}) is conversation_key([]) is None


def test_each_vllm_has_a_gpu_or_cores_of_its_own_and_ours_their_share_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5,GPU-ab")
    args: dict[str, object] = {"model": "m", "name": "m", "port": 8000, "private": False, "replicas": 3}
    made = fleet.replica_args(args, "vllm", 3, "frontjob")
    assert [a["device"] for a in made] == ["3", "5", "GPU-ab"]
    assert all((a["port"], a["private"], a["front"]) == (0, True, "frontjob") and "replicas" not in a for a in made)
    with pytest.raises(UserError, match="4 replicas need as many GPUs, and there are 3"):
        fleet.replica_args(args, "vllm", 4, "frontjob")
    monkeypatch.setattr(fleet.os, "sched_getaffinity", lambda _: set(range(9)))
    assert [a["threads"] for a in fleet.replica_args(args, "light", 2, "frontjob")] == [4, 4]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # the CPU build
    assert [a["cores"] for a in fleet.replica_args(args, "vllm", 2, "frontjob")] == ["0,2,4,6,8", "1,3,5,7"]
    monkeypatch.setattr(fleet.os, "sched_getaffinity", lambda _: {4, 6})
    assert [a["cores"] for a in fleet.replica_args(args, "vllm", 3, "frontjob")] == ["4", "6", "4"]
    command = command_for("vllm", Serving(tmp_path, "m", 8001, device="5"))
    assert command.environment["CUDA_VISIBLE_DEVICES"] == "5"
