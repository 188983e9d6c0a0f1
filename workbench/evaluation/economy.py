"""When compiling has paid back: what it cost once, what a conversation costs with each agent, and where they meet.

Everything is computed from a comparison's summary, so that another price can be tried on it at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.evaluation.cost import PAID_BY_HOUR, UNPRICED, break_even, total_curves
from workbench.evaluation.words import agents_in_order
from workbench.numbers import finite
from workbench.store.calls import spent_on_dataset
from workbench.store.record import Record
from workbench.store.rows import RunRow


@dataclass(frozen=True, slots=True)
class Rival:
    """One agent beside the compiled one. `conversations` until the one-time cost is paid back; None: never, or unknown
    (`why` says which)."""

    condition: str
    dollars: float | None
    conversations: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Economy:
    """The compiled agent's one-time and running cost in dollars, and its rivals. None is unknown, never 0."""

    compiled: str | None
    generation: float | None
    training: float | None
    one_time: float | None
    per_conversation: float | None
    rivals: tuple[Rival, ...]

    def curves(self, points: int = 50) -> dict[str, list[tuple[float, float]]]:
        """Total dollars over the number of conversations, the compiled agent's first; empty without known prices."""
        rivals = [r for r in self.rivals if r.dollars]
        if self.one_time is None or self.per_conversation is None or not rivals or not self.compiled:
            return {}
        meets = [r.conversations for r in rivals if r.conversations]
        upto = 2 * min(meets) if meets else 1000.0
        found: dict[str, list[tuple[float, float]]] = {}
        for rival in rivals:
            ours, theirs = total_curves(
                self.one_time, self.per_conversation, rival.dollars or 0.0, max(upto, 1), points
            )
            found.setdefault(self.compiled, ours)
            found[rival.condition] = theirs
        return found


def one_time_of(rec: Record, run: RunRow) -> dict[str, Any]:
    """What a run took: dollars of the calls that wrote its data set (None if one is unpriced) and training seconds.

    Dialogues that no call wrote (the scripted writer's) cost $0.
    """
    return {
        "run": run.name,
        "generation_dollars": spent_on_dataset(rec, run.dataset_id) if run.dataset_id else None,
        "training_seconds": finite(run.summary.get("seconds")),
    }


def economy(summary: Mapping[str, Any], hourly_price: float | None = None, one_time: float | None = None) -> Economy:
    """The economy of a comparison from its summary.

    `hourly_price` (dollars an hour of the local machine) prices local agents and training anew; `one_time` (dollars)
    replaces what generation and training cost.
    """
    price = hourly_price if hourly_price is not None else summary.get("hourly_price")
    agents = agents_in_order(summary)
    compiled = next((c for c, e in agents.items() if str(e.get("agent", c)).startswith("compiled")), None)
    once: Mapping[str, Any] = summary.get("one_time", {}).get(compiled, {})
    generation, seconds = once.get("generation_dollars"), once.get("training_seconds")
    training = price * seconds / 3600 if price is not None and seconds is not None else None
    whole = one_time
    if whole is None and generation is not None and training is not None:
        whole = generation + training
    running = {c: dollars_of(e, price, anew=hourly_price is not None) for c, e in agents.items()}
    ours = running.get(compiled) if compiled else None
    rivals = tuple(
        _rival(c, d, ours, whole) for c, d in running.items() if c != compiled and agents[c].get("agent") != "oracle"
    )
    return Economy(compiled, generation, training, whole, ours, rivals)


def dollars_of(entry: Mapping[str, Any], hourly_price: float | None, *, anew: bool = False) -> float | None:
    """Dollars a conversation of an agent's entry; with a price of an hour also where none was known before."""
    costs = entry.get("costs", {})
    machine, basis = costs.get("machine_seconds"), costs.get("basis")
    if hourly_price is not None and machine is not None and (basis == UNPRICED or (anew and basis == PAID_BY_HOUR)):
        return float(hourly_price * machine / 3600)
    return finite(costs.get("dollars", entry.get("cost")))


def _rival(condition: str, dollars: float | None, ours: float | None, one_time: float | None) -> Rival:
    if dollars is None or ours is None:
        return Rival(condition, dollars, None, "a conversation's price is unknown")
    if one_time is None:
        return Rival(condition, dollars, None, "the one-time cost is unknown")
    met = break_even(one_time, ours, dollars)
    return Rival(condition, dollars, met, "" if met is not None else "never: the compiled agent is not cheaper")
