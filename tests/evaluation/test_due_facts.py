"""What a place has to state, from its evaluation wording and the situation."""

from __future__ import annotations

from workbench.evaluation.facts import FactChecker
from workbench.workflow.load import load_workflow
from workbench.workflow.situation import Situation


def test_an_amount_in_dollars_is_due_as_money_and_placeholders_are_no_constants() -> None:
    checker = FactChecker(load_workflow("insurance_claims"))
    situation = Situation({"amount": 10950, "plan": "Plus", "claim_type": "auto", "name": "Ruth", "policy": "HV-1"})
    due = checker._due("make_offer", situation)
    assert ("money", "$10950") in due
    assert ("money", "$500") in due
    assert not [words for _, words in due if "{" in words]
