"""The ledger of one job: every call in the record, before it is made and after, so that a kill costs nothing twice.

A call stands in the record from its beginning, with the most it can cost; a process that is killed leaves it there, and
the budget of the next attempt counts it. An answer is kept beside its call until the caller has made something of it and
forgets it; the same request of the resumed job is then answered from the record. Errors are never remembered.
"""

from __future__ import annotations

from dataclasses import fields, replace

from workbench.models.client import Reply, Request, Usage
from workbench.models.ledger import IN_FLIGHT
from workbench.store.calls import answered, counted, forget_replies, in_flight, put_calls
from workbench.store.encode import from_json
from workbench.store.record import Record
from workbench.store.rows import CallRow
from workbench.workflow.hashing import digest


class CallBook:
    """Calls that `job` pays for. Uses `rec` from the thread it belongs to; may be given to `open_client` as its ledger."""

    def __init__(self, rec: Record, job: str) -> None:
        self.rec, self.job = rec, job

    def __call__(self, row: CallRow) -> None:
        """Keep a call; a row of the same id is brought up to date."""
        put_calls(self.rec, [replace(row, job=self.job)])

    def key(self, name: str, request: Request) -> str:
        """Hash of the model's name and all of the request, its owner and seed included; how the reply travels is none of it."""
        return digest([name, {f.name: getattr(request, f.name) for f in fields(request) if f.name != "streamed"}])

    def answered(self, key: str) -> Reply | None:
        """The reply to the request that `key` names, if it was answered, recorded and not yet forgotten."""
        row = answered(self.rec, key)
        if row is None or row.reply is None:
            return None
        kept = from_json(row.reply)
        usage = Usage(row.input, row.output, row.cache_read, row.cache_write)
        detail = {**kept["detail"], "recalled": True}
        latency = row.latency or 0.0
        return Reply(kept["text"], kept["stop_reason"], usage, latency, row.ttft, row.cost, kept["model"], detail)

    def forget(self, owner: str) -> None:
        """Drop the answers kept for `owner` (`dialogue:ID`): what they made is in the record. May join a transaction."""
        kind, _, owner_id = owner.rpartition(":")
        forget_replies(self.rec, kind, owner_id)

    def in_flight(self) -> list[CallRow]:
        """The job's calls that began and have no answer recorded."""
        return in_flight(self.rec, self.job, IN_FLIGHT)

    def spent(self) -> float:
        """US dollars that the job's calls so far count against its budget, those without an answer at their most."""
        return counted(self.rec, self.job)
