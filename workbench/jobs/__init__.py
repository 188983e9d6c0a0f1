"""Long work in processes of its own: launch, watch, stop, go on. Closing whoever watches never touches a job."""

from workbench.jobs.context import JobContext, Stopped
from workbench.jobs.control import newest, stop, tail_events, wait
from workbench.jobs.folder import Job, job_folder
from workbench.jobs.launcher import launch, resume
from workbench.jobs.settings import Settings, change_job
from workbench.jobs.states import ENDED, JobStatus, Progress, jobs, status

__all__ = [
    "ENDED",
    "Job",
    "JobContext",
    "JobStatus",
    "Progress",
    "Settings",
    "Stopped",
    "change_job",
    "job_folder",
    "jobs",
    "launch",
    "newest",
    "resume",
    "status",
    "stop",
    "tail_events",
    "wait",
]
