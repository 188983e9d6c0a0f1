"""`workbench dialogues review` and `workbench conversations review`: one command for both kinds of subject."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.errors import UserError
from workbench.home import Home
from workbench.store.rows import SubjectKind


def review_command(kind: SubjectKind) -> click.Command:
    """The `review` command of a noun."""
    noun = f"{kind}s"
    return click.Command(
        "review",
        callback=pass_home(_callback(kind)),
        params=_options(kind),
        help=f"Review {noun}: without an option one after the other at the prompt, the next of the plan first.\n\n"
        "Decisions are added, never changed; the newest of each reviewer counts. Nobody sees another's decision before "
        "giving one; --open shows them and remembers it: what you decide on them later does not count as independent.",
        epilog=example(
            f"workbench {noun} review --as ann",
            f"workbench {noun} review --flag 3f2a91 --tag wrong-fact --note 'party of 3?' --as ann",
            f"workbench {noun} review --plan first --draw travel_booking --by terminal --each 20",
            f"workbench {noun} review --disagreements",
            f"workbench {noun} review --settle pass 3f2a91 --note 'the party is 3' --as zoe",
            f"workbench {noun} review --agreement --json",
            f"workbench {noun} review --export reviews.csv",
        ),
    )


def _options(kind: SubjectKind) -> list[click.Parameter]:
    """Declared as a list, since two commands are made of them."""

    def declare(function: Callable[..., Any]) -> list[click.Parameter]:
        return list(function.__click_params__)  # type: ignore[attr-defined]

    @json_option
    @click.option(
        "--export", "export", type=click.Path(dir_okay=False, path_type=Path), help="Write all to .csv or .md."
    )
    @click.option("--agreement", is_flag=True, help="Cohen's κ and Krippendorff's α with their intervals.")
    @click.option("--disagreements", is_flag=True, help="Those on which reviewers disagree, and how they were settled.")
    @click.option(
        "--open", "opened", is_flag=True, help="With --export, --disagreements: also what you have not decided on."
    )
    @click.option(
        "--settle",
        nargs=2,
        type=(click.Choice(["pass", "flag", "fix"]), str),
        metavar="DECISION ID",
        help="Settle a disagreement of others.",
    )
    @click.option("--progress", is_flag=True, help="How far the plan is.")
    @click.option("--next", "take", is_flag=True, help="Hand out the next of the plan, for 15 minutes.")
    @click.option("--seed", default=0, show_default=True, help="With --draw.")
    @click.option("--second", default=10.0, show_default=True, help="With --draw: per cent for a second reviewer.")
    @click.option("--each", default=20, show_default=True, help="With --draw: so many of every stratum.")
    @click.option("--by", multiple=True, help="With --draw: what strata are made of (repeat to combine).")
    @click.option("--draw", metavar="WORKFLOW", help="Draw a sampling plan from this workflow's.")
    @click.option("--plan", "plan", help="The plan meant (else the newest).")
    @click.option("--note", help="A note for the decision.")
    @click.option("--tag", "tags", multiple=True, help="A tag for the decision.")
    @click.option("--undo", is_flag=True, help="Take your newest decision back.")
    @click.option("--flag", "flags", multiple=True, metavar="ID", help="Flag: stays out of the next data set.")
    @click.option("--pass", "passes", multiple=True, metavar="ID", help="Pass.")
    @click.option("--as", "reviewer", metavar="NAME", help="The reviewer (else WORKBENCH_REVIEWER, else the login).")
    def declared() -> None: ...

    params = declare(declared)
    if kind == "dialogue":
        params.insert(3, click.Option(["--fix", "fixes"], metavar="ID", help="Mend a copy, with --say."))
        params.insert(
            4, click.Option(["--say", "says"], multiple=True, metavar="N=TEXT", help="With --fix: message N.")
        )
    return params


def _callback(kind: SubjectKind) -> Callable[..., None]:
    def review(home: Home, as_json: bool, reviewer: str | None, **given: Any) -> None:
        from workbench.dialogue.reviewing import reviewer_name
        from workbench.store.record import connect

        who = reviewer_name(reviewer)
        with connect(home) as rec:
            for name, act in _ACTS.items():
                if given.get(name):
                    act(rec, kind, who, given, as_json)
                    return
            if given["tags"] or given["note"]:
                raise UserError("--tag and --note go with --pass ID, --flag ID or --fix ID")
            if as_json:
                raise UserError("--json goes with an option such as --next, --progress or --pass ID; see -h")
            _prompt(rec, kind, who, given)

    return review


def _find(rec: Any, kind: SubjectKind, wanted: str) -> str:
    from workbench.store.find import find

    return find(rec, kind, wanted)


def _decide(decision: str) -> Callable[..., None]:
    def act(rec: Any, kind: SubjectKind, who: str, given: dict[str, Any], as_json: bool) -> None:
        from workbench.dialogue.reviewing import decide

        ids = [_find(rec, kind, wanted) for wanted in given["passes" if decision == "pass" else "flags"]]
        if given["passes"] and given["flags"]:
            raise UserError("--pass and --flag in one call: one decision at a time")
        rows = [decide(rec, kind, i, who, decision, given["tags"] or None, given["note"]) for i in ids]
        done = [
            {"id": i, "decision": decision, "reviewer": who, "new": row is not None}
            for i, row in zip(ids, rows, strict=True)
        ]
        emit(
            done,
            as_json,
            lambda d: "\n".join(f"{x['id']}: {decision} by {who}{'' if x['new'] else ' (stood already)'}" for x in d),
        )

    return act


def _fix(rec: Any, kind: SubjectKind, who: str, given: dict[str, Any], as_json: bool) -> None:
    from workbench.dialogue.reviewing import fix
    from workbench.store.dialogues import get_dialogue
    from workbench.store.workflows import get_workflow
    from workbench.workflow.recall import recall_workflow

    found = get_dialogue(rec, _find(rec, kind, given["fixes"]))
    assert found is not None, "find gives ids that exist"
    texts: dict[int, str] = {}
    for say in given["says"]:
        number, equals, text = say.partition("=")
        if not equals or not number.isdecimal() or not 1 <= int(number) <= len(found.messages):
            raise UserError(f"--say {number}: write it as N=TEXT, N from 1 to {len(found.messages)}")
        texts[int(number) - 1] = text
    row = get_workflow(rec, found.workflow_id)
    assert row is not None, "foreign keys hold"
    copy, faults = fix(rec, recall_workflow(row.canonical), found, texts, who, given["note"], given["tags"] or None)
    emit(
        {"id": found.id, "copy": copy.id, "faults": faults},
        as_json,
        lambda d: "\n".join(
            [f"{found.id}: fix by {who}, mended copy {copy.id}", *(f"quarantined: {f.what}" for f in faults)]
        ),
    )


def _undo(rec: Any, kind: SubjectKind, who: str, given: dict[str, Any], as_json: bool) -> None:
    from workbench.dialogue.reviewing import undo

    row = undo(rec, who, kind)
    if row is None:
        raise UserError(f"{who} has no decision left to take back")
    stands = "nothing stands" if row.decision == "none" else f"{row.decision} stands again"
    emit(row, as_json, lambda r: f"{r.subject_id}: taken back, {stands}")


def _settle(rec: Any, kind: SubjectKind, who: str, given: dict[str, Any], as_json: bool) -> None:
    from workbench.dialogue.reviewing import settle

    decision, wanted = given["settle"]
    subject = _find(rec, kind, wanted)
    row = settle(rec, kind, subject, who, decision, given["note"] or "")
    emit(
        {"id": subject, "decision": decision, "settled_by": who, "new": row is not None},
        as_json,
        lambda d: f"{d['id']}: settled, {decision} by {who}{'' if d['new'] else ' (stood already)'}",
    )


def _draw(rec: Any, kind: SubjectKind, who: str, given: dict[str, Any], as_json: bool) -> None:
    from workbench.dialogue.reviewing import make_plan
    from workbench.store.find import find

    name = given["plan"]
    if not name:
        raise UserError("a plan needs a name: --plan NAME --draw WORKFLOW")
    if given["each"] < 1 or not 0 <= given["second"] <= 100:
        raise UserError("--each is at least 1, --second between 0 and 100")
    workflow = find(rec, "workflow", given["draw"])
    make_plan(rec, kind, workflow, name, given["by"], given["each"], given["second"] / 100, given["seed"])
    _progress(rec, kind, who, given, as_json)


def _progress(rec: Any, kind: SubjectKind, who: str, given: dict[str, Any], as_json: bool) -> None:
    from workbench.store.review_plans import progress

    plan = _plan(rec, kind, given)
    strata = progress(rec, plan.id)
    rows = [(s.stratum, s.items, s.done, s.twice, s.twice_done) for s in strata]
    heads = ("stratum", "items", "decided", "for two", "by two")
    emit(
        {"plan": plan, "strata": strata},
        as_json,
        lambda _: f"plan {plan.name}\n" + table(heads, rows, right=range(1, 5)),
    )


def _plan(rec: Any, kind: SubjectKind, given: dict[str, Any]) -> Any:
    from workbench.dialogue.reviewing import find_plan

    plan = find_plan(rec, kind, given["plan"])
    if plan is None:
        raise UserError(f"no review plan yet: workbench {kind}s review --plan NAME --draw WORKFLOW")
    return plan


def _next(rec: Any, kind: SubjectKind, who: str, given: dict[str, Any], as_json: bool) -> None:
    from workbench.store.review_plans import take_next
    from workbench.store.rows import now

    plan = _plan(rec, kind, given)
    subject = take_next(rec, plan, who, now())
    emit(
        {"plan": plan.name, "id": subject, "messages": _said(rec, kind, subject) if subject else []},
        as_json,
        lambda d: (
            _transcript(d["id"], d["messages"]) if subject else f"nothing of plan {plan.name} is left for {who} now"
        ),
    )


def _said(rec: Any, kind: SubjectKind, subject: str) -> list[tuple[str, str]]:
    from workbench.dialogue.review_export import messages_of

    return [(m.role, m.text) for m in messages_of(rec, kind, subject)]


def _transcript(subject: str, said: Sequence[tuple[str, str]]) -> str:
    return "\n".join([f"{subject}", "", *(f"{role:5}  {text}" for role, text in said)])


def _disagreements(rec: Any, kind: SubjectKind, who: str, given: dict[str, Any], as_json: bool) -> None:
    from workbench.dialogue.review_export import when
    from workbench.dialogue.reviewing import open_decisions
    from workbench.store.reviews import hidden_from, review_states, reviews, votes

    settled = {row.subject_id: row for row in reviews(rec, kind=kind) if row.settles}
    settled = {subject: row for subject, row in settled.items() if row.decision != "none"}
    ids = [*review_states(rec, kind, "split"), *settled]
    if given["opened"]:
        open_decisions(rec, kind, ids, who)
    hidden = hidden_from(rec, kind, who)
    votes_of = votes(rec, kind, [i for i in ids if i not in hidden])

    def told(subject: str) -> tuple[str, str]:
        if subject in hidden:
            return f"hidden till {who} decides (--open shows them)", "settled" if subject in settled else ""
        row = settled.get(subject)
        said = ", ".join(f"{what} by {by}" for by, what in votes_of.get(subject, {}).items())
        return said, f"{row.decision} by {row.reviewer}, {when(row.created)}" if row else ""

    found = [
        {
            "id": i,
            "hidden": i in hidden,
            "votes": votes_of.get(i, {}),
            "settled": None if i in hidden else settled.get(i),
        }
        for i in ids
    ]
    heads = ("id", "decisions", "settled")
    emit(found, as_json, lambda _: table(heads, [(i, *told(i)) for i in ids]) if ids else "reviewers disagree on none")


def _agreement(rec: Any, kind: SubjectKind, who: str, given: dict[str, Any], as_json: bool) -> None:
    from workbench.evaluation.reviewers import agreement_text, reviewer_agreement
    from workbench.store.reviews import reviews

    emit(reviewer_agreement(reviews(rec, kind=kind)), as_json, lambda found: "\n".join(agreement_text(found)))


def _export(rec: Any, kind: SubjectKind, who: str, given: dict[str, Any], as_json: bool) -> None:
    from workbench.dialogue.review_export import export_reviews
    from workbench.dialogue.reviewing import open_decisions
    from workbench.store.reviews import hidden_from

    if given["opened"]:
        open_decisions(rec, kind, hidden_from(rec, kind, who), who)
    count, hidden = export_reviews(rec, kind, given["export"], who)
    more = f"; {hidden:,} on what {who} has not decided on are left out (--open writes them too)" if hidden else ""
    emit(
        {"file": given["export"], "reviews": count, "left_out": hidden},
        as_json,
        lambda d: f"{count:,} reviews in {d['file']}{more}",
    )


_ACTS: dict[str, Callable[..., None]] = {
    "passes": _decide("pass"), "flags": _decide("flag"), "fixes": _fix, "undo": _undo, "settle": _settle, "draw": _draw, "take": _next,
    "progress": _progress, "disagreements": _disagreements, "agreement": _agreement, "export": _export,
}  # fmt: skip
"""What is done for the first of these options that is given."""

_KEYS = "[a] pass  [f] flag  [m] flag with a note  [s] skip  [u] undo  [q] leave"


def _prompt(rec: Any, kind: SubjectKind, who: str, given: dict[str, Any]) -> None:
    """One after the other: of the plan if there is one, else the oldest that nobody has reviewed."""
    from workbench.dialogue.reviewing import amend, decide, find_plan, undo
    from workbench.text import clean

    plan = find_plan(rec, kind, given["plan"])
    skipped: set[str] = set()
    while subject := _following(rec, kind, who, plan, skipped):
        click.echo(clean(_transcript(subject, _said(rec, kind, subject))))
        answer = click.prompt(f"\n{who}: {_KEYS}", type=click.Choice(list("afmsuq")), show_choices=False)
        if answer == "q":
            return
        if answer in "af":
            decide(rec, kind, subject, who, {"a": "pass", "f": "flag"}[answer])
        elif answer == "m":
            amend(rec, kind, subject, who, note=click.prompt("note"))
        elif answer == "u":
            row = undo(rec, who, kind)
            click.echo(f"taken back on {row.subject_id}" if row else "nothing to take back")
        else:
            skipped.add(subject)
        click.echo("")
    click.echo(f"nothing is left for {who}" + (f" in plan {plan.name}" if plan else ""))


def _following(rec: Any, kind: SubjectKind, who: str, plan: Any, skipped: set[str]) -> str | None:
    from workbench.store.review_plans import take_next, unreviewed_subjects
    from workbench.store.rows import now

    if plan is not None:
        subject = take_next(rec, plan, who, now())
        return None if subject in skipped else subject
    return next((s for s in unreviewed_subjects(rec, kind) if s not in skipped), None)
