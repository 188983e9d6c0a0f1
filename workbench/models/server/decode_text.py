"""From token ids to text while they come: whole characters only, and nothing that may turn out to be a stop string."""

from __future__ import annotations

from typing import Any

_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"


class TextStream:
    """The text of one reply as its tokens arrive."""

    def __init__(self, tokenizer: Any, stop: tuple[str, ...] = ()) -> None:
        self.tokenizer = tokenizer
        self.stop = tuple(s for s in stop if s)
        self.ids: list[int] = []
        self.text = ""
        self.stopped = False
        self._given = 0

    def push(self, token: int) -> str:
        """Add a token; the text that is now certain and was not given before (maybe none). Sets `stopped`."""
        self.ids.append(token)
        self.text = self._decoded()
        for stop in self.stop:
            at = self.text.find(stop)
            if at >= 0:
                self.text, self.stopped = self.text[:at], True
        return self._give(len(self.text) if self.stopped else self._certain())

    def finish(self) -> str:
        """What is left to give when no more tokens come."""
        return self._give(len(self.text))

    def _decoded(self) -> str:
        text: str = self.tokenizer.decode(self.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _certain(self) -> int:
        end = len(self.text.rstrip(_INCOMPLETE))
        for stop in self.stop:
            for length in range(min(len(stop) - 1, len(self.text)), 0, -1):
                if self.text.endswith(stop[:length]):
                    end = min(end, len(self.text) - length)
                    break
        return end

    def _give(self, end: int) -> str:
        fresh = self.text[self._given : end]
        self._given = max(self._given, end)
        return fresh
