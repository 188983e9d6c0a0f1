"""What a first start offers, and a short tour of the panes."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from workbench.tui.actions import PANES
from workbench.tui.widgets.safe import Line, SafeText, line

Choice = Literal["demo", "tour", "look"]

OFFERS: tuple[tuple[str, Choice, str, str], ...] = (
    ("d", "demo", "run the demo", "the whole way, offline; 15 to 30 minutes on two cores"),
    ("t", "tour", "take the tour", "five panes in a minute"),
    ("l", "look", "look around", "the shipped workflows, their graphs and paths"),
)

TOUR: tuple[tuple[str, str], ...] = (
    (
        "workflows",
        "A procedure is a graph in a YAML file. Here are its paths, its outline and its drawing; all branching is at hubs.",
    ),
    (
        "dialogues",
        "Dialogues written along the paths, each message with its nodes. Reviewers pass, flag or fix them with single keys.",
    ),
    (
        "training",
        "Runs that fine-tune every weight of a small model. Watch the pass-rate: the loss hardly tells good from poor.",
    ),
    (
        "chat",
        "Talk to the compiled agent beside orchestrated and in-context ones, with tokens, seconds and dollars in view.",
    ),
    (
        "results",
        "Does the model follow the procedure? Every figure has its interval, and opens the conversations behind it.",
    ),
)
"""Pane and what to know of it, in the order of the way through the house."""


class WelcomeScreen(ModalScreen[Choice]):
    """Offers the demo, the tour, or a look around."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"dismiss('{choice}')", show=False) for key, choice, _, _ in OFFERS),
        Binding("escape,q,enter", "dismiss('look')", show=False),
    ]

    def compose(self) -> ComposeResult:
        """The offers with their keys."""
        offers = [line((f"  {key}  ", "key"), (f"{verb:<14}", "strong"), about) for key, _, verb, about in OFFERS]
        with Vertical(classes="dialog"):
            yield SafeText(
                line(("Welcome to workbench", "strong")),
                "It compiles a conversation workflow into the weights of a small model, and shows whether that worked.",
                (),
                *offers,
                (),
                line(("Nothing is recorded here yet. ? shows the keys, at any time.", "dim")),
            )


class TourScreen(ModalScreen[None]):
    """A strip over the foot of the app; each step opens the pane it speaks of."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,right,enter,n", "step(1)", show=False),
        Binding("left,p,backspace", "step(-1)", show=False),
        Binding("escape,q", "dismiss", show=False),
        *(Binding(str(n), f"goto({n - 1})", show=False) for n in range(1, len(TOUR) + 1)),
    ]

    def __init__(self, at: int = 0) -> None:
        super().__init__()
        self._at = at

    def compose(self) -> ComposeResult:
        """The strip."""
        with Vertical(classes="strip"):
            yield SafeText(id="tour")

    async def on_mount(self) -> None:
        """The first step."""
        await self.action_goto(self._at)

    async def action_step(self, by: int) -> None:
        """Forward or back; past the last step the tour ends."""
        if self._at + by >= len(TOUR):
            self.dismiss(None)
        else:
            await self.action_goto(max(self._at + by, 0))

    async def action_goto(self, at: int) -> None:
        """Open the pane of step `at` and tell what it is for."""
        from workbench.tui.shell import Workbench

        self._at = at
        pane, words = TOUR[at]
        app = self.app
        assert isinstance(app, Workbench)
        await app.open_pane(pane)
        self.query_one("#tour", SafeText).put(*tour_lines(at, words))


def tour_lines(at: int, words: str) -> tuple[Line | str, ...]:
    """What the strip says at a step."""
    pane = TOUR[at][0]
    keys = line(
        ("space", "key"),
        " next  ",
        ("←", "key"),
        " back  ",
        ("esc", "key"),
        f" ends the tour · {at + 1} of {len(TOUR)}",
    )
    return (line((f"{PANES.index(pane) + 1} {pane.capitalize()}  ", "strong"), words), keys)
