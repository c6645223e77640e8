"""What a provider package imports, and with `moorage.errors` all that it imports from moorage."""

from .._app import AppManifest, JobEntry, ServiceEntry, read_app
from .._artifact import Artifact, ArtifactKind, ArtifactRef, ArtifactState
from .._capability import Capabilities, Support, SupportLevel
from .._clock import Clock, SystemClock
from .._closing import Closing
from .._deployment import (
    CallRequest,
    Deployment,
    DeploymentSpec,
    DeploymentState,
    Reply,
)
from .._job import Job, JobSpec, JobState
from .._log_record import LogLevel, LogPage, LogQuery, LogRecord, LogTarget
from .._page import Page
from .._redaction import Redactor, SecretValue, clean_url
from .._secret import Secret, SecretState
from .._source import ExcludedPath, Source, SourceFile, open_source
from ._driver import (
    ArtifactDriver,
    ArtifactPush,
    CancellingDriver,
    DeploymentDriver,
    Driver,
    JobDriver,
    LogDriver,
    LogStream,
    OperationState,
    Progress,
    PromotingDriver,
    SecretDriver,
    Step,
    StreamingLogDriver,
)
from ._hooks import Call, Outcome, hookimpl
from ._keywords import settings_from
from ._provider import API_VERSION, OpenContext, ProviderInfo, Settings, setting

__all__ = [
    "API_VERSION",
    "AppManifest",
    "Artifact",
    "ArtifactDriver",
    "ArtifactKind",
    "ArtifactPush",
    "ArtifactRef",
    "ArtifactState",
    "Call",
    "CallRequest",
    "CancellingDriver",
    "Capabilities",
    "Clock",
    "Closing",
    "Deployment",
    "DeploymentDriver",
    "DeploymentSpec",
    "DeploymentState",
    "Driver",
    "ExcludedPath",
    "Job",
    "JobDriver",
    "JobEntry",
    "JobSpec",
    "JobState",
    "LogDriver",
    "LogLevel",
    "LogPage",
    "LogQuery",
    "LogRecord",
    "LogStream",
    "LogTarget",
    "OpenContext",
    "OperationState",
    "Outcome",
    "Page",
    "Progress",
    "PromotingDriver",
    "ProviderInfo",
    "Redactor",
    "Reply",
    "Secret",
    "SecretDriver",
    "SecretState",
    "SecretValue",
    "ServiceEntry",
    "Settings",
    "Source",
    "SourceFile",
    "Step",
    "StreamingLogDriver",
    "Support",
    "SupportLevel",
    "SystemClock",
    "clean_url",
    "hookimpl",
    "open_source",
    "read_app",
    "setting",
    "settings_from",
]
