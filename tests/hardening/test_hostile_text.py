"""Text that would take over a terminal, in every field there is: the commands print plain text, the files are harmless."""

from __future__ import annotations

import csv
import html.parser
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.comparison import make_comparison
from tests.fakes.record import make_sample_record, sample_dialogue, sample_id
from workbench.agents.export import export
from workbench.cli.main import cli
from workbench.home import Home
from workbench.jobs.events import EventWriter
from workbench.jobs.folder import Job, write_job
from workbench.store import connect
from workbench.store.conversations import ConversationFilter, conversations, get_conversation
from workbench.text import cell, clean

PAYLOAD = (
    "\x1b]52;c;aGVsbG8=\x07\x1b]0;title\x07\x1b[2J\x1b[31m\x1bP+q544e\x1b\\\x9b31m\x90q\x9c\x9d0;x\x9c\x07\x08\x7f\r\x00\x0b\x0c"
    "\u202e\u2066\u200e\u061c\u200b\u2060\ufeff\u3164\u034f\U000e0041\U000e01ef"
    "[bold red]markup[/] [link=file:///etc/passwd]x[/link] <script>alert(1)</script><img src=x onerror=alert(2)>"
    "=HYPERLINK(1) 漢字 ｗｉｄｅ 👩‍👩‍👧 e\u0301 \ud7ff"
)
SQL_PAYLOAD = PAYLOAD.replace("\x00", "")
FORBIDDEN = {chr(c) for c in (*range(0x20), *range(0x7F, 0xA0)) if chr(c) not in "\n\t"}
JOB = sample_id("job")


def harmless(text: str) -> None:
    """Nothing but plain text: no control, no bidirectional, no invisible character."""
    bad = {hex(ord(c)) for c in set(text) if c in FORBIDDEN or (clean(c) == "")}
    assert not bad, bad


FIELDS = {
    "messages": ["text"],
    "reviews": ["note", "reviewer"],
    "runs": ["name"],
    "datasets": ["name"],
    "comparisons": ["name"],
    "conversations": ["agent", "condition", "terminal", "ended_by"],
    "dialogues": ["terminal", "writer"],
    "workflows": ["title"],
    "verdicts": ["judge"],
    "calls": ["model", "purpose", "error"],
    "scenarios": [],
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A record with the payload at the end of every text that a person or a model could have written."""
    home = Home(tmp_path_factory.mktemp("hostile") / "runs").make()
    with make_sample_record(home) as rec:
        rec.connection.execute("PRAGMA foreign_keys = OFF")
        for trigger in [row["name"] for row in rec.query("SELECT name FROM sqlite_master WHERE type = 'trigger'")]:
            rec.execute(f"DROP TRIGGER {trigger}")
        for table, columns in FIELDS.items():
            for column in columns:
                rec.execute(f"UPDATE {table} SET {column} = {column} || ? WHERE {column} IS NOT NULL", (SQL_PAYLOAD,))
        for table, column in (("dialogues", "checks"), ("verdicts", "evidence"), ("comparisons", "config")):
            rec.execute(f"UPDATE {table} SET {column} = json_set({column}, '$.why', ?)", (SQL_PAYLOAD,))
    folder = home.jobs / JOB
    folder.mkdir(mode=0o700)
    write_job(Job(JOB, "train", PAYLOAD, {"note": PAYLOAD}, folder, 1.0, 1))
    writer = EventWriter(folder / "events.jsonl")
    writer.append("start", {"title": PAYLOAD})
    writer.append("stage", {"name": PAYLOAD, "why": PAYLOAD})
    writer.append("progress", {"done": 1, "total": 2, "unit": PAYLOAD, PAYLOAD: PAYLOAD})
    writer.append("metric", {"step": 1, "loss": 0.5, PAYLOAD: PAYLOAD})
    writer.append("log", {"text": PAYLOAD})
    writer.append("failed", {"error": PAYLOAD})
    writer.close()
    (folder / "log.txt").write_text(PAYLOAD + "\n" + PAYLOAD)
    (folder / "done.json").write_text(json.dumps({"attempt": 1, "at": 2.0, "state": "failed", "error": PAYLOAD}))
    return home


DIALOGUE = sample_dialogue(0).id
COMMANDS = [
    ["dialogues", "list"],
    ["dialogues", "show", DIALOGUE],
    ["dialogues", "review", "--disagreements"],
    ["dialogues", "review", "--agreement"],
    ["conversations", "list"],
    ["conversations", "show", "CONVERSATION"],
    ["conversations", "export", "CONVERSATION", "--to", "md"],
    ["dataset", "list"],
    ["dataset", "show", sample_id("dataset")],
    ["train", "list"],
    ["train", "show", sample_id("run")],
    ["train", "logs", sample_id("run")],
    ["jobs", "list"],
    ["jobs", "show", JOB],
    ["jobs", "tail", JOB],
    ["results", "list"],
    ["record", "tables"],
    ["record", "query", "SELECT * FROM messages LIMIT 3"],
    ["record", "query", "SELECT note, reviewer FROM reviews"],
    ["workflow", "list"],
    ["doctor"],
]


@pytest.mark.parametrize("json_too", [False, True])
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_commands_print_plain_text(hostile: Home, words: list[str], json_too: bool) -> None:
    with connect(hostile) as rec:
        known = {"CONVERSATION": conversations(rec, ConversationFilter())[0].id}
    words = [known.get(word, word) for word in words]
    if json_too and words[1:2] == ["export"]:
        return
    done = CliRunner().invoke(cli, ["--home", str(hostile.root.parent), *words, *(["--json"] if json_too else [])])
    assert done.exit_code in (0, 1), (words, done.output[-500:])
    assert "unexpected error" not in done.output, done.output[-500:]
    harmless(done.output)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str]:
    """A finished comparison whose agents, judges, transcripts and summary all bring the payload."""
    home = Home(tmp_path_factory.mktemp("judged") / "runs").make()
    with connect(home) as rec:
        comparison = make_comparison(rec, 6, 2, 2, words=SQL_PAYLOAD)
        for old in ("compiled:demo", "llm:acme/one"):
            new = json.dumps(old + SQL_PAYLOAD)[1:-1]
            rec.execute(
                "UPDATE comparisons SET summary = replace(summary, ?, ?), name = name || ?", (old, new, SQL_PAYLOAD)
            )
            rec.execute("UPDATE conversations SET condition = ? WHERE condition = ?", (old + SQL_PAYLOAD, old))
            rec.execute("UPDATE verdicts SET judge = ? WHERE judge = ?", (old + SQL_PAYLOAD, old))
    return home, comparison


@pytest.mark.parametrize("json_too", [False, True])
@pytest.mark.parametrize("command", ["show", "behind", "scenario", "diff"])
def test_results_print_plain_text(judged: tuple[Home, str], command: str, json_too: bool) -> None:
    home, comparison = judged
    with connect(home) as rec:
        conversation = conversations(rec, ConversationFilter())[0].id
    subjects = {"scenario": [conversation], "diff": [comparison, comparison]}.get(command, [comparison])
    words = ["results", command, *subjects, *(["--json"] if json_too else [])]
    done = CliRunner().invoke(cli, ["--home", str(home.root.parent), *words])
    assert done.exit_code == 0, done.output[-500:]
    assert "markup" in done.output, "the payload's own words are shown"
    harmless(done.output)


@pytest.mark.parametrize("words", [["workflow", "show", "FILE"], ["workflow", "check", "FILE"], ["workflow", "draw", "FILE"],
                                   ["paths", "FILE", "--count"], ["serve", "FILE"], ["export", "FILE", "--to", "hf"],
                                   ["unpack", "FILE"], ["workflow", "import", "FILE", "-o", "x.yaml"], ["FILE"]],
                         ids=lambda words: " ".join(words[:2]))  # fmt: skip
def test_file_names_and_errors_are_plain(tmp_path: Path, words: list[str]) -> None:
    named = tmp_path / ("\x1b]52;c;aGk=\x07\u202e[red]" + "x" * 40)
    text = Path("workflows/travel_booking.yaml").read_text()
    named.write_text(text.replace("title: ", f'title: "{json.dumps(SQL_PAYLOAD)[1:-1]}" #', 1))
    done = CliRunner().invoke(cli, ["--home", str(tmp_path), *[str(named) if w == "FILE" else w for w in words]])
    assert "unexpected error" not in done.output, done.output[-500:]
    harmless(done.output)


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_pictures_and_pages_escape(hostile: Home) -> None:
    with connect(hostile) as rec:
        held = [found for row in conversations(rec, ConversationFilter()) if (found := get_conversation(rec, row.id))][
            :2
        ]
    for form in ("html", "svg", "md"):
        text = export(held, form, PAYLOAD)  # type: ignore[arg-type]
        harmless(text)
        tags = _Tags()
        tags.feed(text)
        if form != "md":
            assert not tags.tags & {"script", "img", "iframe", "object", "link", "foreignobject"}
            assert not {name for name in tags.attributes if name.startswith("on")}


def test_a_page_of_sections_escapes() -> None:
    from workbench.evaluation.page import Page, Talk, page
    from workbench.evaluation.sections import Section

    section = Section(id="x", title=PAYLOAD, note=PAYLOAD, rows=((PAYLOAD, PAYLOAD), (PAYLOAD, PAYLOAD)))
    talk = Talk(PAYLOAD, [("agent", PAYLOAD)], [PAYLOAD])
    text = page(Page(PAYLOAD, [PAYLOAD], [section], {}, [PAYLOAD], {PAYLOAD: PAYLOAD}, [talk]))
    harmless(text)
    tags = _Tags()
    tags.feed(text)
    assert not tags.tags & {"script", "img", "iframe", "object", "link"}
    assert "default-src 'none'" in text


@given(st.text(alphabet=st.sampled_from("=+-@\t\r\n ＝＋－＠ab1\u200b\x00\x1b"), max_size=8))
@settings(max_examples=300, deadline=None)
def test_no_cell_starts_a_formula(text: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerow([cell(text)])
    (read,) = next(iter(csv.reader(io.StringIO(out.getvalue(), newline=""))), [""])
    assert not read.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    assert cell(-2) == -2


@given(st.text(max_size=60), st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_cleaning_is_stable_and_works_on_streams(text: str, cut: int) -> None:
    assert clean(clean(text)) == clean(text)
    assert clean(text[:cut]) + clean(text[cut:]) == clean(text)
    harmless(clean(text))


def test_a_line_of_a_megabyte(tmp_path: Path) -> None:
    home = Home(tmp_path / "runs").make()
    with make_sample_record(home) as rec:
        one = conversations(rec, ConversationFilter())[0].id
        rec.execute("UPDATE messages SET text = ? WHERE owner_id = ? AND idx = 1", ("漢\u0301x" * 350_000, one))
    for words in (["conversations", "list"], ["conversations", "show", one]):
        done = CliRunner().invoke(cli, ["--home", str(tmp_path), *words])
        assert done.exit_code == 0, done.output[-300:]
