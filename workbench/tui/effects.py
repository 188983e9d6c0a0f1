"""Whatever is slow happens here: worker threads with their own connections, which only post messages."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from textual.message import Message
from textual.message_pump import MessagePump

from workbench.home import Home

if TYPE_CHECKING:
    from workbench.store.record import Record

T = TypeVar("T")
_local = threading.local()


def reader(home: Home) -> Record:
    """This thread's own read-only connection to the record. What nobody waits for any more ends with an error."""
    kept: dict[Home, Record] = _local.__dict__.setdefault("records", {})
    if home not in kept:
        from workbench.store.record import connect  # not before the first frame

        kept[home] = connect(home, readonly=True)
        kept[home].stop_when(lambda: getattr(_local, "outdated", lambda: False)())
    return kept[home]


class Finished(Message):
    """Work is done; the app calls `deliver` on its own thread."""

    def __init__(self, deliver: Callable[[], None]) -> None:
        super().__init__()
        self.deliver = deliver


class Effects:
    """Runs work off the app's thread. Of several calls with one key only the last one's result is delivered; what reads the
    record for an earlier one is broken off."""

    def __init__(self, target: MessagePump, workers: int = 2) -> None:
        self._target = target
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="effects")
        self._latest: dict[str, int] = {}
        self._pending: Counter[str] = Counter()
        self._waiting: dict[str, Callable[[], None]] = {}
        self.failed: Callable[[str, Exception], None] = lambda key, error: None

    @property
    def idle(self) -> bool:
        """Whether nothing is under way (tests wait for it)."""
        return not any(self._pending.values())

    def run(self, key: str, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """`then(work())`: the work in a thread, `then` on the app's. What goes wrong is handed to `failed`."""
        self._waiting.pop(key, None)
        turn = self._latest[key] = self._latest.get(key, 0) + 1
        self._pending[key] += 1

        def job() -> None:
            _local.outdated = lambda: self._latest.get(key) != turn
            result: Any = None
            error: Exception | None = None
            try:
                if not _local.outdated():
                    result = work()
            except Exception as caught:
                error = caught
            self._target.post_message(Finished(lambda: self._deliver(key, turn, result, error, then)))

        try:
            self._pool.submit(job)
        except RuntimeError:  # the app is closing
            self._pending[key] -= 1

    def run_again(self, key: str, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """The same because what is read has changed: work with the key that is under way is finished and delivered first,
        else no long one would ever be done while changes keep coming. Of several calls meanwhile the last one is run.
        """
        if self._pending[key]:
            self._waiting[key] = lambda: self.run(key, work, then)
        else:
            self.run(key, work, then)

    def close(self) -> None:
        """Take no more work and wait for none: the program could not end before a long read."""
        self._latest.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _deliver(self, key: str, turn: int, result: Any, error: Exception | None, then: Callable[[Any], None]) -> None:
        self._pending[key] -= 1
        if self._latest.get(key) != turn:
            return
        if error is not None:
            self.failed(key, error)
        else:
            then(result)
        if key in self._waiting:
            self._waiting.pop(key)()
