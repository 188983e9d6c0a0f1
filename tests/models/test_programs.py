"""Servers that are other programs: their command lines as data, and a real job around a fake executable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fakes import vllm_program
from workbench.cli.main import cli
from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.jobs import launch, status, stop, wait
from workbench.jobs.folder import read_identity, read_json, write_json
from workbench.jobs.identity import Identity, identity
from workbench.models.client import ChatMessage, Reply, Request, Usage
from workbench.models.open import open_client
from workbench.models.server import external, memory, programs
from workbench.models.server.ensure import ensure_server, health, model_path, servers
from workbench.models.server.external import parse_metrics
from workbench.models.server.look import load_of
from workbench.models.server.programs import Serving, choose_program, command_for

FAKE = f'''#!{sys.executable}
"""Speaks as much of llama-server's protocol as we use: health, metrics, chat with a grammar, keys from a file."""
import json, re, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
args = dict(zip(sys.argv[1::1], sys.argv[2::1]))
key = open(args["--api-key-file"]).read() if "--api-key-file" in args else None
if open(args["--model"], "rb").read(4) != b"GGUF":
    print("error: failed to load model")
    sys.exit(1)
served = 0

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def answer(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())
    def admitted(self):
        return key is None or self.headers.get("Authorization") == "Bearer " + key
    def do_GET(self):
        if self.path == "/health":
            self.answer(200, '{{"status":"ok"}}')
        elif not self.admitted():
            self.answer(401, "{{}}")
        elif self.path == "/metrics":
            self.answer(200, f"# TYPE x counter\\nllamacpp:tokens_predicted_total {{served}}\\n"
                             "llamacpp:requests_processing 0\\nllamacpp:requests_deferred 0\\n", "text/plain")
    def do_POST(self):
        global served
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.admitted():
            return self.answer(401, '{{"error":{{"message":"Invalid API Key","code":401}}}}')
        served += 3
        found = re.search(r'root ::= "(.*?)"', body.get("grammar", ""))
        text = found[1] if found else "From " + args["--alias"]
        message = {{"role": "assistant", "content": text}}
        self.answer(200, json.dumps({{"id": "1", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": [{{"index": 0, "message": message, "finish_reason": "stop"}}],
            "usage": {{"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}}}))

ThreadingHTTPServer((args["--host"], int(args["--port"])), Handler).serve_forever()
'''


@pytest.fixture
def llama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a fake llama-server on PATH, and a GGUF file (its first bytes, that is)."""
    program = tmp_path / "bin" / "llama-server"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    model = tmp_path / "agent-q8_0.gguf"
    model.write_bytes(b"GGUF and so on")
    return model


async def test_a_gguf_is_served_by_llama_cpp_where_it_is_installed(home: Home, llama: Path) -> None:
    client = open_client(f"local/{llama}", home)
    hello = Request((ChatMessage("user", "Hello"),))
    assert (await client.complete(hello)).text == "From agent-q8_0"
    chosen = await client.complete(Request(hello.messages, choices=("first of all", "second")))
    assert (chosen.text, chosen.detail["malformed"]) == ("first of all", 0)
    await client.close()
    info = ensure_server(home, llama)
    assert (info.program, info.token is not None) == ("llama.cpp", True)
    assert health(info)["output_tokens"] == 6
    assert info.token not in json.dumps(status(home, info.job_id).result or {})
    shown = CliRunner().invoke(cli, ["--home", str(home.root.parent), "serve", "list", "--json"])
    assert [(s["engine"], s["active"], s["idle_minutes"]) for s in json.loads(shown.output)] == [("llama.cpp", 0, 15)]
    again = CliRunner().invoke(cli, ["--home", str(home.root.parent), "serve", str(llama), "--idle", "3"])
    assert info.url in again.output
    assert "It ran already and stops after 15 minutes without use; --idle counts for a new one" in again.output
    assert stop(home, info.job_id).state == "stopped"
    assert servers(home) == []


async def test_a_model_is_served_by_vllm_where_there_is_a_gpu(
    home: Home, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n" + Path(vllm_program.__file__).read_text())
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("WORKBENCH_VLLM_ARGS", "--gpu-memory-utilization 0.4")
    monkeypatch.setattr(programs, "has_gpu", lambda: True)
    client = open_client(f"local/{model_folder}", home)
    hello = Request((ChatMessage("user", "Hello"),))
    *pieces, reply = [piece async for piece in client.stream(hello)]
    assert isinstance(reply, Reply)
    assert ("".join(map(str, pieces)).strip(), reply.usage) == ("Good day from vLLM", Usage(8, 5, 32))
    assert reply.ttft_s is not None
    assert 0 < reply.ttft_s <= reply.latency_s
    chosen = await client.complete(Request(hello.messages, choices=("this one", "that")))
    assert (chosen.text, chosen.detail["malformed"], chosen.ttft_s) == ("this one", 0, None)
    await client.close()
    (info,) = servers(home)
    assert (info.program, info.token is not None) == ("vllm", True)
    load = health(info)
    assert {n: load[n] for n in ("active", "queued", "prompt_tokens", "cached_tokens", "output_tokens")} == {
        "active": 0, "queued": 0, "prompt_tokens": 80, "cached_tokens": 64, "output_tokens": 10,
    }  # fmt: skip
    assert load["cache_share"] == 0.125
    with monkeypatch.context() as dying:
        dying.setattr(external, "is_up", lambda *_: False)  # its engine has died, its web server has not
        assert load_of(info) == {"status": "no answer"}
    assert "share of the GPU: 0.4" in (home.jobs / info.job_id / "log.txt").read_text()
    assert stop(home, info.job_id).state == "stopped"


def test_a_program_that_dies_says_why_and_an_idle_one_is_ended(home: Home, llama: Path) -> None:
    args = {"model": str(llama), "name": "x", "program": "llama.cpp", "port": 0, "idle_minutes": 0.001}
    ended = wait(home, launch(home, "serve", args, "serve").id, timeout=60)
    assert (ended.state, ended.result["ended"]) == ("done", "idle")
    llama.write_bytes(b"not at all")
    with pytest.raises(ServiceError, match="llama-server ended with code 1 before it answered: error: failed to load"):
        ensure_server(home, llama, timeout_s=60)


def _gone(who: Identity | None) -> bool:
    return who is None or not who.alive


def test_a_program_ends_with_its_job_however_that_ended(home: Home, llama: Path) -> None:
    info = ensure_server(home, llama)
    folder = home.jobs / info.job_id
    program = read_identity(read_json(folder / "program.json"))
    assert program is not None
    assert (program.pid, program.alive) == (info.pid, True)
    os.kill(status(home, info.job_id).pid or 0, signal.SIGKILL)
    until(lambda: _gone(program))
    assert servers(home) == []

    # where the kernel cannot do it, the next server does
    orphan = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write_json(folder / "program.json", identity(orphan.pid).as_dict())  # type: ignore[union-attr]
    again = ensure_server(home, llama)
    assert orphan.wait(60) == -signal.SIGTERM
    assert again.pid != program.pid
    stop(home, again.job_id)
    assert not (folder / "program.json").exists()


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_which_program_is_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder, gguf = tmp_path / "model", tmp_path / "x.gguf"
    there: set[str] = set()
    monkeypatch.setattr(programs, "executable", lambda program: program if program in there else None)
    monkeypatch.setattr(programs, "has_gpu", lambda: "gpu" in there)
    assert choose_program(folder) == choose_program(gguf) == "light"
    there |= {"vllm", "llama.cpp"}
    assert (choose_program(folder), choose_program(gguf)) == ("light", "llama.cpp")
    there |= {"gpu"}
    assert (choose_program(folder), choose_program(folder, "light")) == ("vllm", "light")
    with pytest.raises(UserError, match="GGUF files only"):
        choose_program(folder, "llama.cpp")
    there.clear()
    with pytest.raises(UserError, match="vllm is not installed"):
        choose_program(folder, "vllm")


VLLM_LOG = """\
(APIServer pid=1) WARNING 11-29 16:59:38 [system_utils.py:255] This can cause errors like `OSError: [Errno 24] Too many`.
(Worker pid=3) ERROR 11-29 17:01:08 [multiproc_executor.py:953]     raise ValueError(
(Worker pid=3) ERROR 11-29 17:01:08 [multiproc_executor.py:953] ValueError: Available memory is less than desired.
(EngineCore pid=2) ERROR 11-29 17:01:13 [core.py:1510] Exception: WorkerProc initialization failed.
RuntimeError: Engine core initialization failed. See root cause above.
"""


def test_of_what_vllm_wrote_when_it_failed_the_cause_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("ERROR 11-28 1:2:3 [a.py:1] KeyError: of an earlier start\n")
    failing = external.Command((sys.executable, "-c", f"print({VLLM_LOG!r}); raise SystemExit(1)"))
    with external.running(failing, log) as process, pytest.raises(ServiceError) as raised:
        external.wait_until_up(process, "vllm", "http://127.0.0.1:9", log, lambda _: False)
    assert str(raised.value) == (
        "vllm ended with code 1 before it answered: ValueError: Available memory is less than desired."
    )


def test_vllm_on_a_cpu_is_told_how_much_it_may_keep_and_which_cores_are_its(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    on_cpu = command_for("vllm", Serving(tmp_path, "agent", 8123, cores="0,2"))
    assert on_cpu.argv[-2:] == ("--kv-cache-memory-bytes", str(1 << 30))
    assert on_cpu.environment["VLLM_CPU_OMP_THREADS_BIND"] == "0,2"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert "--kv-cache-memory-bytes" not in command_for("vllm", Serving(tmp_path, "agent", 8123)).argv


def test_tokens_are_in_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    token = tmp_path / "token"
    token.write_text("very secret")
    serving = Serving(tmp_path / "best", "agent", 8123, "bfloat16", token)
    vllm = command_for("vllm", serving)
    assert vllm.argv[1:] == (
        "serve", str(tmp_path / "best"), "--served-model-name", "agent", "--host", "127.0.0.1", "--port", "8123",
        "--dtype", "bfloat16", "--enable-prefix-caching", "--enable-prompt-tokens-details",
    )  # fmt: skip
    assert vllm.environment["VLLM_API_KEY"] == "very secret"
    llama = command_for("llama.cpp", serving)
    assert llama.argv[-2:] == ("--api-key-file", str(token))
    for command in (vllm, llama):
        assert "very secret" not in f"{command.argv} {command!r}"


def test_more_words_for_a_program_come_from_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = Serving(tmp_path / "best", "agent", 8123)
    monkeypatch.setenv("WORKBENCH_VLLM_ARGS", "--gpu-memory-utilization 0.4 --seed '1 2'")
    assert command_for("vllm", serving).argv[-4:] == ("--gpu-memory-utilization", "0.4", "--seed", "1 2")
    assert "0.4" not in command_for("llama.cpp", serving).argv
    monkeypatch.setenv("WORKBENCH_LLAMA_ARGS", "'open")
    with pytest.raises(UserError, match="WORKBENCH_LLAMA_ARGS: No closing quotation"):
        command_for("llama.cpp", serving)


def test_metrics_are_read_whatever_their_labels() -> None:
    text = (
        '# HELP a b\nvllm:num_requests_running{engine="0",model_name="a b"} 2.0\nvllm:x{a="}"} 1e3\nvllm:x 1\nbad line'
    )
    assert parse_metrics(text) == {"vllm:num_requests_running": 2.0, "vllm:x": 1001.0}


def test_a_model_that_does_not_fit_is_one_clear_line(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.check_fits(model_folder, "float32")
    assert 2 * memory.bytes_needed(model_folder, "bfloat16") < memory.bytes_needed(model_folder, "float32")
    monkeypatch.setattr(memory, "bytes_free", lambda: 1000)
    with pytest.raises(UserError, match=r"takes about .* GB of memory and 0\.0 GB are free") as caught:
        memory.check_fits(model_folder, "float32")
    assert "\n" not in str(caught.value)


def test_a_gguf_that_is_not_there(home: Home) -> None:
    with pytest.raises(UserError, match="no such GGUF file"):
        model_path(home, "nowhere.gguf")
