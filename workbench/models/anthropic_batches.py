"""The Message Batches API through the anthropic SDK: half the price, an answer within a day, results in any order."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from workbench.models.anthropic_client import AnthropicClient, to_reply
from workbench.models.attempt import AttemptFailed, Kind
from workbench.models.batch import BatchState
from workbench.models.client import Reply, Request

_PAGE = 100
_ERRORS: dict[str, Kind] = {
    "invalid_request_error": "refused",
    "authentication_error": "refused",
    "permission_error": "refused",
    "not_found_error": "refused",
    "billing_error": "refused",
    "rate_limit_error": "limit",
    "overloaded_error": "overloaded",
    "timeout_error": "timeout",
}
_STATUSES = {"authentication_error": 401, "billing_error": 402, "permission_error": 403, "not_found_error": 404}
"""Of errors that concern all requests, as the API gives them outside batches."""


class AnthropicBatches:
    """One attempt a call, failures are AttemptFailed; see `models.batch.BatchService`."""

    def __init__(self, client: AnthropicClient) -> None:
        self._client = client
        self._api = client.sdk_client.messages.batches
        self.model = client.model

    async def submit(self, requests: Mapping[str, Request]) -> str:
        """Send a batch; the keys are its custom ids. Returns the batch's id."""
        entries: list[Any] = []
        headers: dict[str, str] = {}
        for custom_id, request in requests.items():
            params = self._client.params(request)
            headers |= params.pop("extra_headers", {})
            entries.append({"custom_id": custom_id, "params": params | params.pop("extra_body", {})})
        try:
            batch = await self._api.create(requests=entries, extra_headers=headers)
            return str(batch.id)
        except Exception as error:
            raise self._client.failed(error) from error

    async def state(self, batch_id: str) -> BatchState:
        """How far the service is with a batch."""
        try:
            batch = await self._api.retrieve(batch_id)
            return _state(batch)
        except Exception as error:
            raise self._client.failed(error) from error

    async def recent(self, since: float) -> list[BatchState]:
        """The batches made after `since` (UTC epoch seconds), newest first."""
        found: list[BatchState] = []
        try:
            async for batch in self._api.list(limit=_PAGE):
                if batch.created_at.timestamp() < since:
                    break
                found.append(_state(batch))
        except Exception as error:
            raise self._client.failed(error) from error
        return found

    async def results(self, batch_id: str) -> AsyncIterator[tuple[str, Reply | AttemptFailed]]:
        """What became of every request of a batch that has ended, by custom id, in no order."""
        try:
            async for entry in await self._api.results(batch_id):
                yield entry.custom_id, self._outcome(entry.result)
        except Exception as error:
            raise self._client.failed(error) from error

    def _outcome(self, result: Any) -> Reply | AttemptFailed:
        if result.type == "succeeded":
            try:
                return to_reply(self._client, result.message, 0.0)
            except Exception as error:
                return self._client.failed(error)
        if result.type == "errored":
            inner = result.error.error
            kind, status = _ERRORS.get(inner.type, "server"), _STATUSES.get(inner.type, 400)
            return self._client.learnt(AttemptFailed(kind, f"{self.model}: {inner.message}", status))
        return AttemptFailed("timeout", f"{self.model}: the request was {result.type} in its batch")

    async def close(self) -> None:
        """Release connections."""
        await self._client.close()


def _state(batch: Any) -> BatchState:
    counts = batch.request_counts
    total = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
    made = batch.created_at.timestamp() if batch.created_at else time.time()
    return BatchState(str(batch.id), batch.processing_status == "ended", total - counts.processing, total, made)
