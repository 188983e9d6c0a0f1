"""Parsers against mutated inputs: only a UserError may come out, within seconds.

The hypothesis tests take a few hundred; `python -m tests.hardening.fuzzing --count 20000` (in `make nightly`) takes as many
as one likes, with the coverage guidance of atheris where that is installed (`pip install atheris`), else at random.
"""

from __future__ import annotations

import argparse
import asyncio
import atexit
import gc
import json
import multiprocessing
import random
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

from workbench.errors import UserError

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "corpus"
SECONDS = 20
"""More than any input may take on a busy machine: what takes longer hangs."""
TOKENS = [
    b"\0", b"\xff\xfe", b"\xc3(", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1b]52;c;aGk=\x07", "\u202e\u2066".encode(),
    b"&a ", b"*a", b"<<: *a", b"!!python/object/apply:os.system ['true']", b"&e;", b"{" * 3000, b"[" * 3000,
    b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>", b'{"a":' * 3000, b"<a>" * 3000, b"\n- " * 50,
    b"9" * 400, b"-1", b"1e999", b"NaN", b"null", b"true", b'"', b"'", b"\\", b"-->", b"---", b"|", b"%%{", b"}%%",
    b"subgraph", b"end", b"digraph", b"edge", b"=", b"#", b"//", b"/*", b"<![CDATA[", b"]]>", b'id=""', b"name: ",
    b"condition: ", b"\r", b"\t",
]  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A parser and inputs that it understands."""

    name: str
    parse: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def _corpus(name: str) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted((CORPUS / name).iterdir()))


def _in_file(read: Callable[[Path], object], file: Path) -> Callable[[bytes], object]:
    def parse(data: bytes) -> object:
        file.write_bytes(data)
        return read(file)

    return parse


def _exchange(format: str, file: Path) -> Callable[[bytes], object]:
    from workbench.workflow.exchange import read_file

    return _in_file(lambda file: read_file(file, format), file)


def _yaml(data: bytes) -> object:
    from workbench.workflow.check import check_text
    from workbench.workflow.load import parse_workflow

    text = data.decode("utf-8", "replace")
    check_text(text, "x.yaml")
    return parse_workflow(text, "x.yaml")


def _events(file: Path) -> object:
    from workbench.jobs.events import all_events, last_events, newest_events, read_events
    from workbench.training.curves import every_point

    list(every_point(file))
    return list(all_events(file)), read_events(file), newest_events(file, 3), last_events(file, ("metric", "progress"))


def _job_folder(scratch: Path) -> Callable[[bytes], object]:
    """The same bytes as every small file of a job."""
    from workbench.home import Home
    from workbench.jobs import jobs
    from workbench.jobs.settings import read_settings

    home = Home(scratch / "runs").make()
    folder = home.jobs / ("ab" * 8)
    folder.mkdir()

    def parse(data: bytes) -> object:
        for name in ("job.json", "process.json", "done.json", "launched.json", "settings.json", "events.jsonl"):
            (folder / name).write_bytes(data)
        return jobs(home), read_settings(folder)

    return parse


def _answer(kind: str) -> Callable[[bytes], object]:
    """A body as the SDK's transport hands it over, whole and as a stream. One client and one loop serve all inputs."""
    import anthropic  # noqa: F401
    import httpx2

    from workbench.models.anthropic_client import AnthropicClient
    from workbench.models.client import ChatMessage, Client, Request
    from workbench.models.openai_client import OpenAIClient

    request = Request((ChatMessage("user", "x"),))
    url = "http://127.0.0.1:9/v1"
    asked: Client = AnthropicClient("m", "key", url) if kind == "anthropic" else OpenAIClient("m", "key", url)
    runner = asyncio.Runner()
    atexit.register(runner.close)  # with what was left of streams that broke off

    async def ask(data: bytes, stream: bool) -> None:
        form = "text/event-stream" if stream else "application/json"

        def handle(_: Any) -> Any:
            return httpx2.Response(200, headers={"content-type": form}, content=data)

        asked._client._client._transport = httpx2.MockTransport(handle)  # type: ignore[attr-defined]
        if stream:
            async for _piece in asked.stream(request):
                pass
        else:
            await asked.complete(request)

    def parse(data: bytes) -> object:
        for stream in (False, True):
            try:
                runner.run(ask(data, stream))
            except UserError:
                if stream:
                    raise
        return None

    return parse


_CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
_OPENAI = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [_CHOICE],
           "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}  # fmt: skip
_CHUNK = {**_OPENAI, "object": "chat.completion.chunk",
          "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}  # fmt: skip
_ANTHROPIC = {"id": "1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn", "stop_sequence": None,
              "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 3, "output_tokens": 1}}  # fmt: skip
_SAID = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}
_STREAM = b"".join(
    f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()
    for data in (
        {"type": "message_start", "message": {**_ANTHROPIC, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        _SAID,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    )
)


def _writer() -> Callable[[bytes], object]:
    """A writer's reply and a judge's."""
    import contextlib

    from workbench.dialogue.model_writer import read_whole
    from workbench.dialogue.outline import outline
    from workbench.dialogue.scenarios import scenario_for_path
    from workbench.evaluation.judge_prompt import Case, read_answer
    from workbench.evaluation.rubric import load_rubric
    from workbench.models.client import Reply, Usage
    from workbench.workflow.load import load_workflow
    from workbench.workflow.paths import PathSpace

    workflow = load_workflow("travel_booking")
    turns = outline(workflow, scenario_for_path(workflow, PathSpace(workflow)[0], "test", 1))
    rubric = load_rubric()
    case = Case("c", (("agent", "Hello! Where to?"), ("user", "Oslo")), "notes")

    def parse(data: bytes) -> object:
        text = data.decode("utf-8", "replace")
        with contextlib.suppress(ValueError):  # what is asked for again
            read_whole(text, turns)
        return read_answer(Reply(text, "end", Usage(), 0.1, 0.1, None, "m"), case, rubric)

    return parse


def _prices(file: Path) -> object:
    from workbench.home import Home
    from workbench.models.prices import load_prices

    return load_prices(Home(file.parent))


def targets(scratch: Path) -> dict[str, Target]:
    """Every parser of what comes from outside, by name; what reads files reads them in `scratch`."""
    from workbench.evaluation.rubric import load_rubric
    from workbench.settings import read_config
    from workbench.training.recipe import load_recipe, presets

    event = (
        b'{"t": 1.5, "type": "metric", "step": 3, "loss": 0.5}\n{"t": 2, "type": "progress", "done": 1, "total": 2}\n'
    )
    config = b'reviewer = "ann"\nascii = true\nthreads = 2\n[keys]\n"dialogues.search" = "f"\n'
    job = json.dumps(
        {"kind": "train", "title": "t", "args": {}, "created": 1.0, "attempt": 1, "command": None, "cwd": ""}
    )
    given = {"reason": "so", "quotes": [{"message": 1, "quote": "Hello"}], "score": 4}
    verdict = json.dumps({"challenged": True, "task_success": given, "consistency": given})
    rubric = (ROOT / "workbench" / "evaluation" / "rubrics" / "paper.yaml").read_bytes()
    recipes = tuple(p.read_bytes() for p in presets().values())
    made = (
        Target("workflow", _yaml, tuple(p.read_bytes() for p in sorted((ROOT / "workflows").glob("*.yaml")))),
        Target("mermaid", _exchange("mermaid", scratch / "x.mmd"), _corpus("mermaid")),
        Target("dot", _exchange("dot", scratch / "x.dot"), _corpus("dot")),
        Target("drawio", _exchange("drawio", scratch / "x.drawio"), _corpus("drawio")),
        Target("bpmn", _exchange("bpmn", scratch / "x.bpmn"), _corpus("bpmn")),
        Target("json", _exchange("json", scratch / "x.json"), _corpus("langgraph")),
        Target("events", _in_file(_events, scratch / "events.jsonl"), (event,)),
        Target("job", _job_folder(scratch), (job.encode(), event)),
        Target("config", _in_file(read_config, scratch / "config.toml"), (config,)),
        Target("recipe", _in_file(lambda f: load_recipe(str(f)), scratch / "recipe.yaml"), recipes),
        Target("rubric", _in_file(lambda f: load_rubric(str(f)), scratch / "rubric.yaml"), (rubric,)),
        Target("prices", _in_file(_prices, scratch / "prices.json"), ((ROOT / "workbench/models/prices.json").read_bytes(),)),
        Target("reply", _writer(), (b'{"messages": [{"n": 1, "text": "Hello"}, {"n": 2, "text": "Oslo"}]}', verdict.encode())),
        Target("anthropic", _answer("anthropic"), (json.dumps(_ANTHROPIC).encode(), _STREAM)),
        Target("openai", _answer("openai"), (json.dumps(_OPENAI).encode(), f"data: {json.dumps(_CHUNK)}\n\n".encode())),
    )  # fmt: skip
    return {target.name: target for target in made}


def mutated(seeds: tuple[bytes, ...], rng: random.Random) -> bytes:
    """One of the seeds with some pieces cut, doubled, moved, flipped, or replaced by tokens that parsers trip over."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 3, 20, 300)))
        match rng.randrange(7):
            case 0:
                del data[at:end]
            case 1:
                data[at:at] = data[at:end]
            case 2:
                data[at:end] = rng.choice(TOKENS)
            case 3:
                data[at:at] = rng.choice(TOKENS)
            case 4 if at < len(data):
                data[at] = rng.randrange(256)
            case 5:
                other = rng.choice(seeds)
                begin = rng.randrange(len(other) + 1)
                data[at:end] = other[begin : begin + 200]
            case _:
                del data[at:]
    return bytes(data)


@contextmanager
def in_time(seconds: int = SECONDS) -> Iterator[None]:
    """Raise TimeoutError in the main thread when the block takes too long."""

    def late(*_: object) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def judge(target: Target, data: bytes) -> None:
    """Raise AssertionError, with the input, for anything but a result or a one-line UserError in time."""
    try:
        with in_time():
            target.parse(data)
    except UserError as error:
        if "\n" in str(error):
            raise AssertionError(f"{target.name}: several lines from {data!r}") from error
    except BaseException as error:
        raise AssertionError(f"{target.name}: {type(error).__name__}: {error} from {data!r}") from error


def guided(target: Target, count: int, seed: int, scratch: Path) -> None:
    """That many inputs, guided by which lines of ours they reach. Ends the process; at the first fault with its traceback."""
    import atheris

    for data in target.seeds:
        judge(target, data)  # loads what is loaded at the first use
    for found in gc.get_objects():  # ours alone: to instrument every library takes longer than the run
        if isinstance(found, FunctionType) and str(found.__module__).startswith("workbench"):
            atheris.instrument_func(found)
    corpus = scratch / f"corpus-{target.name}"
    corpus.mkdir()
    for number, data in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(data)
    words = scratch / "words.txt"
    escaped = ["".join(map("\\x{:02x}".format, token)) for token in TOKENS if len(token) < 64]
    words.write_text("".join(f'"{token}"\n' for token in escaped))
    longest = max(4096, 2 * max(map(len, target.seeds)))
    options = [
        f"-runs={count}",
        f"-seed={seed}",
        f"-max_len={longest}",
        f"-dict={words}",
        f"-artifact_prefix={scratch}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: judge(target, data))
    atheris.Fuzz()


def guided_apart(target: Target, count: int, seed: int, scratch: Path) -> int:
    """The same in a process of its own; returns whether it found a fault."""
    child = multiprocessing.get_context("fork").Process(target=guided, args=(target, count, seed, scratch))
    child.start()
    child.join()
    print(json.dumps({"target": target.name, "inputs": count, "faults": int(child.exitcode != 0)}), flush=True)
    return int(child.exitcode != 0)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=20_000, help="inputs for each parser")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", default=None)
    parser.add_argument("--atheris", action="store_true", help="guided by coverage; each ends at its first fault")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wb-fuzz-") as folder:
        scratch = Path(folder)
        every = targets(scratch)
        search = guided_apart if chosen.atheris else at_random
        names = [chosen.target] if chosen.target else list(every)
        failed = sum(search(every[name], chosen.count, chosen.seed, scratch) for name in names)
    sys.exit(1 if failed else 0)


def at_random(target: Target, count: int, seed: int, _: Path) -> int:
    """That many inputs at random; prints and returns how many different faults they found."""
    rng = random.Random(f"{seed}-{target.name}")
    faults: dict[str, bytes] = {}
    for _ in range(count):
        data = mutated(target.seeds, rng)
        try:
            judge(target, data)
        except AssertionError as error:
            faults.setdefault(_where(error.__cause__), data)
    print(json.dumps({"target": target.name, "inputs": count, "faults": len(faults)}), flush=True)
    for where, data in faults.items():
        print("   ", where, repr(data[:200]), flush=True)
    return len(faults)


def _where(cause: BaseException | None) -> str:
    if cause is None or cause.__traceback__ is None:
        return "?"
    last = traceback.extract_tb(cause.__traceback__)
    ours = [f for f in last if "/workbench/" in f.filename] or list(last)
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {type(cause).__name__}: {cause}"[:200]


if __name__ == "__main__":
    main()
