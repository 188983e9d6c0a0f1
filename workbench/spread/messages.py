"""What the driver of a cluster and its workers say to each other: small, picklable, each in a batch with its neighbours.

A worker has no record and no budget. Before every attempt at a call it asks (`Ask`); the driver, whose ledger client
waits for a slot, sets the money aside and writes the call down, tells it to go (`Attempt`), gets what came of it
(`Attempted`), writes that down and gives the priced reply back (`Answer`), or the one that is on record already. So all that
limits, pays, repeats and remembers calls is the same code as without a cluster, and in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.errors import UserError
from workbench.models.client import Request


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call or an item: a value, or an error with its cause. `story` is an unforeseen error's traceback."""

    value: Any = None
    error: Exception | None = None
    cause: BaseException | None = None
    story: str = ""

    @classmethod
    def failed(cls, error: Exception) -> Outcome:
        """An error that the caller knows how to take. Pickling alone would lose its cause; an SDK's own cannot be pickled."""
        cause = error.__cause__
        return cls(error=error, cause=cause if isinstance(cause, UserError) else None)

    def get(self) -> Any:
        """The value. Raises the error."""
        if self.error is not None:
            raise self.error from self.cause
        return self.value


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a worker is, and where."""

    host: str
    boot: str
    versions: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Begin:
    """To a worker: do this item. The first item of a work brings the work along."""

    item: int
    work: int
    what: Any
    function: Any = None


@dataclass(frozen=True, slots=True)
class Drop:
    """To a worker: nobody wants this item any more."""

    item: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """To a worker: make one attempt at the call it has asked for."""

    call: int


@dataclass(frozen=True, slots=True)
class Answer:
    """To a worker: what its call came to."""

    call: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Halt:
    """To a worker: the job was asked to stop; items may end early."""


@dataclass(frozen=True, slots=True)
class Ask:
    """From a worker: a work wants this request answered."""

    call: int
    model: str
    request: Request


@dataclass(frozen=True, slots=True)
class Gone:
    """From a worker: nobody waits for this call any more."""

    call: int


@dataclass(frozen=True, slots=True)
class Attempted:
    """From a worker: what one attempt came to."""

    call: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Ended:
    """From a worker: what an item came to."""

    item: int
    outcome: Outcome


ToWorker = Begin | Drop | Attempt | Answer | Halt
FromWorker = Ask | Gone | Attempted | Ended
