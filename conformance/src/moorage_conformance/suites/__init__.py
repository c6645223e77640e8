"""The suites, as classes to subclass."""

from ._base import OverrideError, Suite
from .artifacts import ArtifactSuite
from .capabilities import CapabilitySuite
from .concurrency import ConcurrencySuite
from .deployments import DeploymentSuite
from .errors import ErrorSuite
from .idempotency import IdempotencySuite
from .jobs import JobLookupSuite, JobSuite
from .lifecycle import LifecycleSuite
from .log_cuts import DeploymentLogCutSuite, JobLogCutSuite
from .logs import DeploymentLogSuite, JobLogSuite, LogLookupSuite
from .lost_replies import LostReplySuite
from .operations import OperationSuite
from .paging import PagingSuite
from .plan import PlanSuite
from .secrecy import SecrecySuite
from .secrets import SecretSuite
from .strings import StringSuite
from .time import TimeSuite

__all__ = [
    "ArtifactSuite",
    "CapabilitySuite",
    "ConcurrencySuite",
    "DeploymentLogCutSuite",
    "DeploymentLogSuite",
    "DeploymentSuite",
    "ErrorSuite",
    "IdempotencySuite",
    "JobLogCutSuite",
    "JobLogSuite",
    "JobLookupSuite",
    "JobSuite",
    "LifecycleSuite",
    "LogLookupSuite",
    "LostReplySuite",
    "OperationSuite",
    "OverrideError",
    "PagingSuite",
    "PlanSuite",
    "SecrecySuite",
    "SecretSuite",
    "StringSuite",
    "Suite",
    "TimeSuite",
]
