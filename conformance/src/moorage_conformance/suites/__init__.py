"""The suites, as classes to subclass."""

from ._base import OverrideError, Suite
from .artifacts import ArtifactSuite
from .deployments import DeploymentSuite
from .jobs import JobSuite
from .logs import DeploymentLogSuite, JobLogSuite
from .secrets import SecretSuite

__all__ = [
    "ArtifactSuite",
    "DeploymentLogSuite",
    "DeploymentSuite",
    "JobLogSuite",
    "JobSuite",
    "OverrideError",
    "SecretSuite",
    "Suite",
]
