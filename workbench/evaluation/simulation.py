"""The work of holding one conversation and measuring it, wherever it is done: the same function here and on a cluster."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from functools import cached_property

import workbench
from workbench.agents.base import User
from workbench.agents.conversation import Limits, hold
from workbench.agents.names import build_agent
from workbench.agents.users import AgendaUser
from workbench.errors import UserError
from workbench.evaluation.assess import Assessor
from workbench.evaluation.keep import Held, held_rows, row_of
from workbench.evaluation.plan import Row
from workbench.spread.work import Desk
from workbench.store.rows import ConversationRow


@dataclass(frozen=True)
class Simulation:
    """Holds the conversations of one comparison. `user` is `agenda` or `llm:MODEL`, `seed` the plan's."""

    assessor: Assessor
    limits: Limits
    user: str
    seed: int
    comparison: str
    workflow_id: str

    async def __call__(self, row: Row, desk: Desk) -> Held | None:
        """The conversation as it will stand in the record, None if it was asked to stop. Raises BudgetSpent, UserError."""
        agent = build_agent(
            row.agent,
            self.assessor.workflow,
            desk.client(row.agent.model) if row.agent.model else None,
            thread=row.id,
            scenario=row.scenario,
            reply_tokens=self.limits.reply_tokens,
        )
        try:
            found = await hold(agent, self._user(row, desk), self.limits, stopping=lambda: desk.stopping)
        finally:
            await agent.close()
        return None if found.ended_by == "stopped" else held_rows(self.assessor, row, found, self.unheld(row))

    def unheld(self, row: Row) -> ConversationRow:
        """The row of a conversation that has not been held."""
        return row_of(row, self.comparison, self.workflow_id, self._provenance)

    @cached_property
    def _provenance(self) -> dict[str, object]:
        return {
            "workbench": workbench.__version__,
            "python": platform.python_version(),
            "workflow_id": self.workflow_id,
            "limits": asdict(self.limits),
            "seed": self.seed,
        }

    def _user(self, row: Row, desk: Desk) -> User:
        workflow, labeller = self.assessor.workflow, self.assessor.labeller
        kind, _, model = self.user.partition(":")
        if kind == "agenda":
            return AgendaUser(workflow, row.scenario, labeller, row.repetition)
        if kind == "llm" and model:
            from workbench.agents.llm_user import LlmUser

            seed = self.seed + row.repetition
            return LlmUser(desk.client(model), workflow, row.scenario, labeller, seed=seed, owner=row.id)
        raise UserError(f'no simulated user "{self.user}": choose agenda or llm:MODEL')
