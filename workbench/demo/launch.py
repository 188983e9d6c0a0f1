"""Starting the demo's job, the same way from the command line and from the app."""

from __future__ import annotations

from workbench.demo.plan import Preset
from workbench.home import Home
from workbench.jobs.folder import Job
from workbench.jobs.launcher import launch
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.load import load_workflow


def launch_demo(
    home: Home, workflow: str = "travel_booking", preset: Preset = "default", seed: int = 42, base: str | None = None
) -> Job:
    """Start the demo, join it or go on with it: the same arguments are the same job. Raises UserError as the loader does."""
    loaded = load_workflow(workflow)
    args = {"workflow": workflow, "workflow_id": workflow_hash(loaded), "preset": preset, "seed": seed, "base": base}
    return launch(home.make(), "demo", args, f"demo of {loaded.name} ({preset})")
