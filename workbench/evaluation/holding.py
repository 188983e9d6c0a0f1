"""Holding an evaluation's conversations: agent after agent, many at once, each kept as soon as it has ended."""

from __future__ import annotations

import platform
from dataclasses import asdict

import workbench
from workbench.agents.base import User
from workbench.agents.conversation import Conversation, Limits, hold
from workbench.agents.names import build_agent
from workbench.agents.users import AgendaUser
from workbench.errors import UserError
from workbench.evaluation.assess import Assessor
from workbench.evaluation.keep import keep
from workbench.evaluation.plan import EvaluationPlan, Row
from workbench.evaluation.services import Services
from workbench.jobs.context import JobContext
from workbench.models.client import Client
from workbench.models.limiter import each
from workbench.store.conversations import ConversationFilter, conversations
from workbench.store.record import Record

_TOLD = 20
"""Broken conversations told one by one in the log; the rest are in the count."""


class Holding:
    """One session of an evaluation's conversations. `broken` counts those that infrastructure broke in it."""

    def __init__(
        self,
        ctx: JobContext,
        rec: Record,
        plan: EvaluationPlan,
        comparison: str,
        workflow_id: str,
        assessor: Assessor,
        limits: Limits,
        services: Services,
    ) -> None:
        self.ctx, self.rec, self.plan = ctx, rec, plan
        self.comparison, self.workflow_id = comparison, workflow_id
        self.assessor, self.limits, self.services = assessor, limits, services
        self.broken = self._done = self._total = 0
        self._provenance = {
            "workbench": workbench.__version__,
            "python": platform.python_version(),
            "workflow_id": workflow_id,
            "limits": asdict(limits),
            "seed": plan.seed,
        }

    async def run(self, table: list[list[Row]]) -> None:
        """Agent after agent (local models would only fight for the same cores). Raises Stopped, BudgetSpent."""
        wanted = ConversationFilter(comparison_id=self.comparison, status="done")
        held = {row.id for row in conversations(self.rec, wanted)}
        self._total = sum(len(rows) for rows in table)
        self._done = sum(row.id in held for rows in table for row in rows)
        for rows in table:
            left = [row for row in rows if row.id not in held]
            if left and not self.ctx.stopping:
                agent = left[0].agent
                self.ctx.stage(left[0].condition, f"{len(left)} conversations with {agent.text}")
                self.ctx.progress(self._done, self._total, "conversations", agent=left[0].condition)
                await each(left, self._hold, self.services.limiter(agent.model or agent.text))
        if self.broken:
            self.ctx.log(
                f"{self.broken} conversations were broken by infrastructure; the same command retries them alone"
            )

    async def _hold(self, row: Row) -> None:
        if self.ctx.stopping:
            return
        agent = build_agent(
            row.agent,
            self.assessor.workflow,
            self._client(row),
            thread=row.id,
            scenario=row.scenario,
            reply_tokens=self.limits.reply_tokens,
        )
        try:
            found = await hold(agent, self._user(row), self.limits, stopping=lambda: self.ctx.stopping)
        finally:
            await agent.close()
        if found.ended_by != "stopped":
            self._keep(row, found)

    def _keep(self, row: Row, found: Conversation) -> None:
        keep(self.rec, self.assessor, row, self.comparison, self.workflow_id, found, self._provenance)
        if not found.is_missing:
            self.services.forget(row.id)
        self._done += not found.is_missing
        self.broken += found.is_missing
        if found.error and self.broken <= _TOLD:
            self.ctx.log(f"{row.condition}, scenario {row.scenario.id}: {found.error}")
        self.ctx.progress(self._done, self._total, "conversations", agent=row.condition, failed=self.broken)

    def _client(self, row: Row) -> Client | None:
        return self.services.client(row.agent.model) if row.agent.model else None

    def _user(self, row: Row) -> User:
        workflow, labeller = self.assessor.workflow, self.assessor.labeller
        kind, _, model = self.plan.user.partition(":")
        if kind == "agenda":
            return AgendaUser(workflow, row.scenario, labeller, row.repetition)
        if kind == "llm" and model:
            from workbench.agents.llm_user import LlmUser

            seed = self.plan.seed + row.repetition
            return LlmUser(self.services.client(model), workflow, row.scenario, labeller, seed=seed, owner=row.id)
        raise UserError(f'no simulated user "{self.plan.user}": choose agenda or llm:MODEL')
