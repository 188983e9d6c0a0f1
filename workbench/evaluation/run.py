"""The job kind `evaluate`: agents × scenarios × repetitions, held side by side, kept row by row, summed up at the
end."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from dataclasses import asdict

import workbench
from workbench.agents.base import User
from workbench.agents.conversation import Conversation, Limits, hold, limits_for
from workbench.agents.names import AgentName, build_agent
from workbench.agents.users import AgendaUser
from workbench.dialogue.generation import keep_workflow
from workbench.dialogue.model import Scenario
from workbench.errors import UserError
from workbench.evaluation.assess import Assessor
from workbench.evaluation.keep import keep
from workbench.evaluation.plan import EvaluationPlan, Row, comparison_id, plan_of, rows_of, scenario_set
from workbench.evaluation.summary import summarise
from workbench.home import Home
from workbench.jobs.context import JobContext
from workbench.models.client import Client
from workbench.store.calls import put_calls
from workbench.store.comparisons import put_comparison, set_comparison
from workbench.store.conversations import ConversationFilter, conversations
from workbench.store.record import Record, connect
from workbench.store.rows import CallRow, ComparisonRow
from workbench.store.scenarios import put_scenarios
from workbench.workflow.load import load_workflow

Open = Callable[[str, Home], Client]
"""Opens the client for a model's name; `workbench.models.open.open_client` unless a test hands in its own."""


def main(ctx: JobContext) -> dict[str, object]:
    """Entry point of the job kind `evaluate`; `args` are the fields of `EvaluationPlan`. Returns the comparison's id
    and summary. Stopped or killed, the same command goes on with the conversations that are missing."""
    from workbench.models.open import open_client

    with connect(ctx.home) as rec:

        def note(call: CallRow) -> None:
            put_calls(rec, [call])

        def open_model(name: str, home: Home) -> Client:
            return open_client(name, home, note)

        return asyncio.run(evaluate(ctx, rec, plan_of(ctx.args), open_model))


async def evaluate(ctx: JobContext, rec: Record, plan: EvaluationPlan, open_model: Open) -> dict[str, object]:
    """Hold what is missing of the plan's conversations and sum up. Raises Stopped if the job was asked to stop."""
    workflow = load_workflow(plan.workflow)
    workflow_id = keep_workflow(rec, workflow)
    scenarios = scenario_set(rec, workflow, plan)
    put_scenarios(rec, scenarios)
    comparison = comparison_id(rec, workflow, plan, scenarios)
    name = plan.name or f"{workflow.name}-{comparison[:6]}"
    config = {**asdict(plan), "scenario_ids": [s.id for s in scenarios]}
    put_comparison(rec, ComparisonRow(comparison, workflow_id, name, config, "running"))
    work = _Work(ctx, rec, plan, comparison, workflow_id, Assessor(workflow), limits_for(workflow), open_model)
    try:
        await work.run(rows_of(rec, plan, comparison, scenarios))
    finally:
        set_comparison(rec, comparison, "stopped")
    ctx.check()
    ctx.stage("summing up", "Statistics, the labeller's accuracy and the controls that the measures must pass.")
    summary = summarise(rec, comparison, work.assessor, hourly_price=plan.hourly_price)
    set_comparison(rec, comparison, "done", summary)
    return {"comparison": comparison, "name": name, "summary": summary}


class _Work:
    """One session of an evaluation: what all conversations share."""

    def __init__(
        self,
        ctx: JobContext,
        rec: Record,
        plan: EvaluationPlan,
        comparison: str,
        workflow_id: str,
        assessor: Assessor,
        limits: Limits,
        open_model: Open,
    ) -> None:
        self.ctx, self.rec, self.plan = ctx, rec, plan
        self.comparison, self.workflow_id = comparison, workflow_id
        self.assessor, self.limits = assessor, limits
        self._open, self._clients = open_model, dict[str, Client]()
        self._done = self._total = self._failed = 0
        self._provenance = {
            "workbench": workbench.__version__,
            "python": platform.python_version(),
            "workflow_id": workflow_id,
            "limits": asdict(limits),
            "seed": plan.seed,
        }

    async def run(self, table: list[list[Row]]) -> None:
        """Agent after agent (local models would only fight for the same cores), each with many conversations at
        once."""
        wanted = ConversationFilter(comparison_id=self.comparison, status="done")
        held = {row.id for row in conversations(self.rec, wanted)}
        self._total = sum(len(rows) for rows in table)
        self._done = sum(row.id in held for rows in table for row in rows)
        try:
            for rows in table:
                left = [row for row in rows if row.id not in held]
                if left and not self.ctx.stopping:
                    self.ctx.stage(left[0].condition, f"{len(left)} conversations with {left[0].agent.text}")
                    await self._agent(left)
        finally:
            for client in self._clients.values():
                await client.close()
        if self._failed:
            self.ctx.log(
                f"{self._failed} conversations were broken by infrastructure; run the same command to retry them"
            )

    async def _agent(self, rows: list[Row]) -> None:
        gate = asyncio.Semaphore(self.plan.concurrency)
        self.ctx.progress(self._done, self._total, "conversations", agent=rows[0].condition)
        try:
            async with asyncio.TaskGroup() as group:
                for row in rows:
                    group.create_task(self._gated(gate, row))
        except* UserError as errors:
            raise first_of(errors) from None

    async def _gated(self, gate: asyncio.Semaphore, row: Row) -> None:
        async with gate:
            await self._hold(row)

    async def _hold(self, row: Row) -> None:
        if self.ctx.stopping:
            return
        agent = build_agent(
            row.agent,
            self.assessor.workflow,
            self._client(row.agent),
            thread=row.id,
            scenario=row.scenario,
            reply_tokens=self.limits.reply_tokens,
        )
        try:
            user = self._user(row.scenario, row)
            found = await hold(agent, user, self.limits, stopping=lambda: self.ctx.stopping)
        finally:
            await agent.close()
        if found.ended_by != "stopped":
            self._keep(row, found)

    def _keep(self, row: Row, found: Conversation) -> None:
        keep(self.rec, self.assessor, row, self.comparison, self.workflow_id, found, self._provenance)
        self._done += not found.is_missing
        self._failed += found.is_missing
        if found.error:
            self.ctx.log(f"{row.condition}, scenario {row.scenario.id}: {found.error}")
        self.ctx.progress(self._done, self._total, "conversations", agent=row.condition, failed=self._failed)

    def _client(self, agent: AgentName) -> Client | None:
        return self._model(agent.model) if agent.model else None

    def _model(self, name: str) -> Client:
        if name not in self._clients:
            self._clients[name] = self._open(name, self.ctx.home)
        return self._clients[name]

    def _user(self, scenario: Scenario, row: Row) -> User:
        kind, _, model = self.plan.user.partition(":")
        if kind == "agenda":
            return AgendaUser(self.assessor.workflow, scenario, self.assessor.labeller, row.repetition)
        if kind == "llm" and model:
            from workbench.agents.llm_user import LlmUser

            labeller = self.assessor.labeller
            seed = self.plan.seed + row.repetition
            return LlmUser(self._model(model), self.assessor.workflow, scenario, labeller, seed=seed, owner=row.id)
        raise UserError(f'no simulated user "{self.plan.user}": choose agenda or llm:MODEL')


def first_of(group: BaseExceptionGroup[UserError]) -> UserError:
    """The first error in a group, however deep: one line is enough for the user."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
