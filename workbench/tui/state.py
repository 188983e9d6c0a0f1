"""What the app remembers: one frozen dataclass a pane, pure functions from event to new state, and their file.

Selections are ids, never positions, so that they survive new rows, another machine and a restart.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args, get_type_hints

from workbench.home import make_folder, open_private

WorkflowView = Literal["outline", "paths", "graph", "ego", "check"]
VIEWS = get_args(WorkflowView)
RADIUS = 2
"""Edges around a node that are drawn at the most."""
GraphShown = Literal["auto", "on", "off"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WorkflowsState:
    """`workflow` is the name in the list; `path` the rank of the chosen path as text (ranks may exceed 64 bits).

    `filter` is what was typed after `/`; `radius` how many edges around `node` are drawn.
    """

    workflow: str | None = None
    view: WorkflowView = "paths"
    path: str = "0"
    node: str | None = None
    sample: int = 0
    filter: str = ""
    radius: int = 1


@dataclass(frozen=True, slots=True)
class DialoguesState:
    """`filter` is what was typed after `/`; `selected` a dialogue's id; `note` a half-written note.

    `beside` shows two dialogues of one path, `place` the path's place in the graph. `plan` is the sampling plan that `n`
    follows ("": the newest); `mends` holds half-written words by "DIALOGUE/INDEX".
    """

    filter: str = ""
    selected: str | None = None
    note: str = ""
    beside: bool = False
    place: bool = False
    plan: str = ""
    mends: Mapping[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> str | None:
        """What the review keys are about."""
        return self.selected


@dataclass(frozen=True, slots=True)
class TrainingState:
    """`selected` is a job id; `marked` are drawn with it, by `axis`; `metric` is the lower chart's; `search` the log's.

    `phase` follows the selected job's state and decides which keys make sense.
    """

    selected: str | None = None
    smooth: bool = False
    log: bool = False
    phase: str = ""
    marked: tuple[str, ...] = ()
    axis: str = "step"
    metric: str = "pass_rate"
    search: str = ""

    @property
    def running(self) -> bool:
        """Whether it can be stopped."""
        return self.phase in ("running", "queued")

    @property
    def resumable(self) -> bool:
        """Whether the same command would continue it."""
        return self.phase in ("stopped", "failed", "lost")

    @property
    def finished(self) -> bool:
        """Whether there is a model to talk to."""
        return self.phase == "done"


@dataclass(frozen=True, slots=True)
class ChatState:
    """`agents` are names as on the command line; `session` the live conversation's job; `draft` what is half typed.

    `scenario` is the simulated user's, None for any; `aligned` starts message n on one line in all columns; `graph` says
    whether the graph is shown ("auto": where there is room beside the columns).
    """

    agents: tuple[str, ...] = ()
    session: str | None = None
    draft: str = ""
    scenario: str | None = None
    aligned: bool = True
    graph: GraphShown = "auto"


@dataclass(frozen=True, slots=True)
class ResultsState:
    """`selected` is the comparison; `agent` and `measure` the figure under the cursor; `view` what stands beside the
    matrix; `depth` how far a figure is opened (1 its conversations, 2 one scenario side by side).

    `judge`, `among` (an agent, "" for all), `deviation`, `label` and `differ` say which conversations those are; `shift`
    is the first agent shown side by side.
    """

    selected: str | None = None
    agent: str | None = None
    measure: str | None = None
    view: str = ""
    conversation: str | None = None
    depth: int = 0
    figure: str = ""
    judge: str = ""
    among: str = ""
    deviation: str = ""
    label: str = ""
    differ: str = ""
    shift: int = 0
    note: str = ""

    @property
    def opened(self) -> bool:
        """Whether conversations are shown rather than the matrix."""
        return self.depth > 0

    @property
    def subject(self) -> str | None:
        """The conversation that review keys decide on: the one on the screen."""
        return self.conversation if self.depth == 1 else None


@dataclass(frozen=True, slots=True)
class AppState:
    """Everything that is saved. `reading`: conversations are double-spaced; `absolute`: times as dates, not as ages."""

    pane: str = "workflows"
    light: bool = False
    reading: bool = False
    absolute: bool = False
    workflows: WorkflowsState = field(default_factory=WorkflowsState)
    dialogues: DialoguesState = field(default_factory=DialoguesState)
    training: TrainingState = field(default_factory=TrainingState)
    chat: ChatState = field(default_factory=ChatState)
    results: ResultsState = field(default_factory=ResultsState)


def workflow_chosen(state: WorkflowsState, name: str) -> WorkflowsState:
    """Another workflow: its path and node are forgotten, the view stays."""
    return state if name == state.workflow else WorkflowsState(workflow=name, view=state.view)


def path_chosen(state: WorkflowsState, rank: str) -> WorkflowsState:
    """Another path: it starts with its first sample."""
    return state if rank == state.path else replace(state, path=rank, sample=0)


def node_chosen(state: WorkflowsState, node: str) -> WorkflowsState:
    """The cursor came to another node of the graph."""
    return replace(state, node=node)


def view_chosen(state: WorkflowsState, view: str) -> WorkflowsState:
    """Another view of the workflow; an unknown name changes nothing."""
    return replace(state, view=cast(WorkflowView, view)) if view in VIEWS else state


def paths_filtered(state: WorkflowsState, text: str) -> WorkflowsState:
    """Another filter of the paths; the chosen path stays if it is still among them."""
    return replace(state, filter=" ".join(text.split()))


def radius_changed(state: WorkflowsState, by: int) -> WorkflowsState:
    """More or less of the graph around the node: one or two edges."""
    return replace(state, radius=min(max(state.radius + by, 1), RADIUS))


def sampled(state: WorkflowsState) -> WorkflowsState:
    """The next sample of the same path."""
    return replace(state, sample=state.sample + 1)


def dialogues_filtered(state: DialoguesState, text: str) -> DialoguesState:
    """Another filter; the selection stays if it is still among the rows."""
    return replace(state, filter=" ".join(text.split()))


def dialogue_chosen(state: DialoguesState, dialogue: str | None) -> DialoguesState:
    """Another dialogue under the cursor."""
    return replace(state, selected=dialogue)


def beside_toggled(state: DialoguesState) -> DialoguesState:
    """One dialogue, or two of the same path."""
    return replace(state, beside=not state.beside)


def place_toggled(state: DialoguesState) -> DialoguesState:
    """The path's place in the graph, or not."""
    return replace(state, place=not state.place)


def note_drafted(state: DialoguesState, text: str) -> DialoguesState:
    """The note as far as it is typed."""
    return replace(state, note=text)


def plan_chosen(state: DialoguesState, name: str) -> DialoguesState:
    """Another sampling plan to follow."""
    return replace(state, plan=name)


def mend_of(state: DialoguesState, dialogue: str) -> dict[int, str]:
    """The half-written words for a dialogue, by index."""
    parts = ((key.rpartition("/"), text) for key, text in state.mends.items())
    return {int(at): text for (of, _, at), text in parts if of == dialogue and at.isdecimal()}


def mend_drafted(state: DialoguesState, dialogue: str, texts: Mapping[int, str]) -> DialoguesState:
    """A dialogue's words as far as they are mended; none: forget them."""
    others = {key: text for key, text in state.mends.items() if key.rpartition("/")[0] != dialogue}
    return replace(state, mends=others | {f"{dialogue}/{at}": text for at, text in texts.items()})


def run_chosen(state: TrainingState, job: str | None, phase: str) -> TrainingState:
    """Another run, or the same one in another phase."""
    return replace(state, selected=job, phase=phase)


def smoothed(state: TrainingState) -> TrainingState:
    """Smooth or raw curves."""
    return replace(state, smooth=not state.smooth)


def log_toggled(state: TrainingState) -> TrainingState:
    """The log or the answers."""
    return replace(state, log=not state.log)


def run_marked(state: TrainingState, job: str) -> TrainingState:
    """Draw this run with the others, or no longer."""
    marked = tuple(m for m in state.marked if m != job) if job in state.marked else (*state.marked, job)
    return replace(state, marked=marked)


def axis_turned(state: TrainingState, axes: tuple[str, ...]) -> TrainingState:
    """The next of the axes."""
    at = axes.index(state.axis) if state.axis in axes else -1
    return replace(state, axis=axes[(at + 1) % len(axes)])


def metric_turned(state: TrainingState, metrics: tuple[str, ...]) -> TrainingState:
    """The next of the metrics for the lower chart."""
    at = metrics.index(state.metric) if state.metric in metrics else -1
    return replace(state, metric=metrics[(at + 1) % len(metrics)])


def log_searched(state: TrainingState, text: str) -> TrainingState:
    """Show the log's lines that hold this text (all, if it is empty)."""
    return replace(state, search=" ".join(text.split()))


def agents_chosen(state: ChatState, agents: tuple[str, ...]) -> ChatState:
    """Other agents: the old conversation is left to the record, the draft stays."""
    return state if agents == state.agents else replace(state, agents=agents, session=None)


def session_begun(state: ChatState, job: str | None) -> ChatState:
    """A conversation is there to be joined (None: it is being started)."""
    return replace(state, session=job)


def scenario_chosen(state: ChatState, scenario: str) -> ChatState:
    """Another scenario for the simulated user."""
    return replace(state, scenario=scenario)


def lined_up(state: ChatState) -> ChatState:
    """Message n on one line in all columns, or every column as its text runs."""
    return replace(state, aligned=not state.aligned)


def graph_toggled(state: ChatState, shown: bool) -> ChatState:
    """Show the graph, or take it away (`shown`: whether it is there now)."""
    return replace(state, graph="off" if shown else "on")


def message_drafted(state: ChatState, text: str) -> ChatState:
    """The message as far as it is typed."""
    return replace(state, draft=text)


def figure_chosen(state: ResultsState, agent: str | None, measure: str | None) -> ResultsState:
    """Another figure in the matrix."""
    return replace(state, agent=agent, measure=measure)


def comparison_chosen(state: ResultsState, comparison: str | None) -> ResultsState:
    """Another comparison: back to its matrix."""
    return (
        state
        if comparison == state.selected
        else ResultsState(selected=comparison, measure=state.measure, view=state.view)
    )


def conversation_chosen(state: ResultsState, conversation: str) -> ResultsState:
    """Another conversation behind the figure."""
    return replace(state, conversation=conversation)


def conversation_noted(state: ResultsState, text: str) -> ResultsState:
    """A half-written note on a conversation."""
    return replace(state, note=text)


def depth_changed(state: ResultsState, depth: int) -> ResultsState:
    """Deeper into a figure, or back."""
    return replace(state, depth=depth, shift=0)


def results_view_chosen(state: ResultsState, view: str) -> ResultsState:
    """Another view beside the matrix."""
    return replace(state, view=view)


def behind_chosen(
    state: ResultsState,
    figure: str,
    judge: str,
    *,
    among: str = "",
    deviation: str = "",
    label: str = "",
    differ: str = "",
) -> ResultsState:
    """Open the conversations behind a figure, a row of a view, or a bar of a distribution."""
    return replace(
        state,
        depth=1,
        figure=figure,
        judge=judge,
        among=among,
        deviation=deviation,
        label=label,
        differ=differ,
        shift=0,
    )


def differing(state: ResultsState) -> ResultsState:
    """All conversations, those where the conditions differ, or those where the judges differ (judged criteria only)."""
    order = ("", "conditions", "judges") if state.judge else ("", "conditions")
    at = order.index(state.differ) if state.differ in order else 0
    return replace(state, differ=order[(at + 1) % len(order)])


def shifted(state: ResultsState, by: int, agents: int) -> ResultsState:
    """Side by side, other agents come into view."""
    return replace(state, shift=(state.shift + by) % max(agents, 1))


def load(file: Path) -> AppState:
    """The saved state. A missing or damaged file, or parts of it that no longer fit, begin afresh."""
    try:
        data = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return AppState()
    return _read(AppState, data)


def save(file: Path, state: AppState) -> None:
    """Write the state so that it is there whole or as it was. A full disk is no reason to end the app."""
    temporary = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        make_folder(file.parent)
        with open(open_private(temporary, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as out:
            out.write(json.dumps(asdict(state)))
        os.replace(temporary, file)
    except OSError:
        with suppress(OSError):
            temporary.unlink()


def _read(kind: type[T], data: object) -> T:
    """A dataclass from JSON; fields that are missing or of another type get their defaults."""
    hints, values = get_type_hints(kind), {}
    if isinstance(data, Mapping):
        for item in fields(cast(Any, kind)):
            if item.name in data and (value := _value(hints[item.name], data[item.name])) is not _BAD:
                values[item.name] = value
    return kind(**values)


_BAD: Any = object()


def _value(hint: Any, value: object) -> Any:
    if is_dataclass(hint):
        return _read(cast(type[Any], hint), value)
    checks: dict[Any, Callable[[], Any]] = {
        str: lambda: value if isinstance(value, str) else _BAD,
        bool: lambda: value if isinstance(value, bool) else _BAD,
        int: lambda: value if isinstance(value, int) and not isinstance(value, bool) else _BAD,
        str | None: lambda: value if value is None or isinstance(value, str) else _BAD,
        tuple[str, ...]: lambda: (
            tuple(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else _BAD
        ),
        Mapping[str, str]: lambda: (
            value
            if isinstance(value, dict) and all(isinstance(word, str) for item in value.items() for word in item)
            else _BAD
        ),
        WorkflowView: lambda: value if value in VIEWS else _BAD,
        GraphShown: lambda: value if value in get_args(GraphShown) else _BAD,
    }
    return checks[hint]()
