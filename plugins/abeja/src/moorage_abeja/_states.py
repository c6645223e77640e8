"""The platform's words for states, and moorage's."""

from collections.abc import Mapping

from moorage.plugin import DeploymentState, JobState

# Only IN_PROGRESS and READY are documented for services. The others are what a platform of this
# kind would say; one that we have not met becomes `unknown`.
SERVICES: Mapping[str, DeploymentState] = {
    "IN_PROGRESS": DeploymentState.DEPLOYING,
    "STARTING": DeploymentState.DEPLOYING,
    "PENDING": DeploymentState.PENDING,
    "READY": DeploymentState.READY,
    "STOPPING": DeploymentState.STOPPING,
    "STOPPED": DeploymentState.STOPPED,
    "FAILED": DeploymentState.FAILED,
    "ERROR": DeploymentState.FAILED,
    "DELETING": DeploymentState.STOPPING,
    "DELETED": DeploymentState.TERMINATED,
}

RUNS: Mapping[str, JobState] = {
    "SUBMITTED": JobState.QUEUED,
    "PENDING": JobState.QUEUED,
    "RUNNABLE": JobState.QUEUED,
    "STARTING": JobState.RUNNING,
    "RUNNING": JobState.RUNNING,
    "SUCCEEDED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
}


def service_state(status: str) -> DeploymentState:
    """Return the state that a service's status stands for."""
    return SERVICES.get(status.upper(), DeploymentState.UNKNOWN)


def run_state(status: str) -> JobState:
    """Return the state that a run's status stands for."""
    return RUNS.get(status.upper(), JobState.UNKNOWN)
