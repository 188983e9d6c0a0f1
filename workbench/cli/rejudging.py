"""`workbench results rejudge --judge …`: the estimate first, then the job that judges."""

from __future__ import annotations

import click

from workbench.cli.evaluate import confirm, estimate_text, refuse, result_text, settings_of
from workbench.cli.output import emit
from workbench.home import Home


def by_models(
    home: Home,
    comparison: str,
    as_json: bool,
    *,
    judges: tuple[str, ...],
    rubric: str | None,
    repetitions: int,
    retry_missing: bool,
    batch: bool,
    budget: float | None,
    concurrency: str | None,
    on: str | None,
    yes: bool,
    detach: bool,
) -> None:
    """Launch the job `judge` for a comparison by its id and see it to its end. Raises UserError, ServiceError."""
    from workbench.cli.follow import follow
    from workbench.evaluation.preview import preview_judging
    from workbench.evaluation.rejudge import Rejudging
    from workbench.evaluation.rubric import rubric_path
    from workbench.jobs.launcher import launch
    from workbench.models.open import price_of
    from workbench.store import connect

    args = {
        "comparison": comparison,
        "judges": list(judges),
        "rubric": rubric_path(rubric),
        "repetitions": repetitions,
        "retry_missing": retry_missing,
    }
    wanted = Rejudging(**{**args, "judges": judges})  # type: ignore[arg-type]
    models = list(wanted.panel().judges)
    settings = settings_of(batch, budget, concurrency, on)
    refuse(home, models, tuple(models) if batch else (), budget)
    if not yes:
        with connect(home) as rec:
            found = preview_judging(rec, wanted, {name: price_of(name, home) for name in models}, batch=batch)
        if not as_json:
            click.echo(estimate_text(found, budget))
        confirm(found)
    job = launch(home, "judge", args, f"judging comparison {comparison}", settings=settings)
    if detach:
        emit({"job": job.id}, as_json, lambda made: f"job {made['job']}; workbench jobs tail {made['job']} watches it")
        return
    emit(follow(home, job.id, quiet=as_json), as_json, result_text)
