"""The seam without a cluster: this event loop as the place, the words for the others."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.evaluation.test_run import Context, args, escalator
from tests.spread.works import Fragile
from workbench.errors import ServiceError, UserError
from workbench.evaluation.plan import plan_of
from workbench.evaluation.run import evaluate
from workbench.evaluation.services import Services
from workbench.home import Home
from workbench.jobs import where
from workbench.models.client import Reply, Request, Usage
from workbench.spread.work import Here, Poisoned
from workbench.store.conversations import ConversationFilter, conversations
from workbench.store.record import connect


def no_model(name: str) -> object:
    raise AssertionError(name)


async def test_an_item_that_raises_is_poisoned_and_says_why(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = Here(no_model)  # type: ignore[arg-type]
    assert await place.do(Fragile(tmp_path), "4") == "44"
    with pytest.raises(Poisoned, match="ValueError: this one is rotten"):
        await place.do(Fragile(tmp_path), "raise")
    assert "Traceback" in capfd.readouterr().err


async def test_what_the_work_may_raise_is_handed_on() -> None:
    async def away(item: str, desk: object) -> str:
        raise ServiceError("away")

    with pytest.raises(ServiceError, match=r"^away$"):
        await Here(no_model).do(away, "x")  # type: ignore[arg-type]


class Rotten:
    """A model whose client breaks in a way that nobody foresaw, for one conversation."""

    def __init__(self) -> None:
        self.model, self.first = "fake", ""

    async def complete(self, request: Request) -> Reply:
        self.first = self.first or request.owner
        if request.owner == self.first:
            raise KeyError("gone wrong")
        return Reply(escalator(request), "end", Usage(1, 1), 0.0, 0.0, 0.0, self.model)

    async def close(self) -> None: ...


async def test_a_poisoned_conversation_is_listed_with_its_cause_and_the_rest_goes_on(home: Home) -> None:
    rec, model = connect(home), Rotten()
    services = Services(lambda name, limiter: model)  # type: ignore[arg-type,return-value]
    result = await evaluate(Context(home), rec, plan_of(args()), services)  # type: ignore[arg-type]
    assert result["unfinished"] == 1
    (failed,) = conversations(rec, ConversationFilter(status="failed"))
    assert failed.condition == "compiled"
    assert failed.totals["error"] == "it cannot be done: KeyError: 'gone wrong'"
    assert len(conversations(rec, ConversationFilter(status="done"))) == 27


@pytest.mark.parametrize("text", ["rays", "ray:/x", "here:", "host", "ray://", "a b:1"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"write ray, ray://ADDRESS or HOST:PORT"):
        where.parse_where(text)


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert where.parse_where("here") == where.parse_where(None) == ""
    monkeypatch.setattr(where, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"Ray, which is not installed: pip install 'workbench\[ray\]'"):
        where.parse_where("ray")


def test_ray_is_not_imported_without_need() -> None:
    import subprocess

    script = "import sys, workbench.evaluation.run, workbench.dialogue.composing; sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
