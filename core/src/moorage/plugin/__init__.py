"""What a provider package imports, and with `moorage.errors` all that it imports from moorage.

Each name is loaded when it is first used, so that a package pays for what it needs.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
        PromotingDriver,
        RememberingDriver,
        SecretDriver,
        Step,
        StreamingLogDriver,
    )
    from ._hasher import Hasher
    from ._hooks import Call, Outcome
    from ._keywords import settings_from
    from ._marker import hookimpl
    from ._progress import Progress
    from ._provider import API_VERSION, OpenContext, ProviderInfo
    from ._settings import Settings, setting

# Where each name lives.
_HOMES = {
    "API_VERSION": "._provider",
    "AppManifest": ".._app",
    "Artifact": ".._artifact",
    "ArtifactDriver": "._driver",
    "ArtifactKind": ".._artifact",
    "ArtifactPush": "._driver",
    "ArtifactRef": ".._artifact",
    "ArtifactState": ".._artifact",
    "Call": "._hooks",
    "CallRequest": ".._deployment",
    "CancellingDriver": "._driver",
    "Capabilities": ".._capability",
    "Clock": ".._clock",
    "Closing": ".._closing",
    "Deployment": ".._deployment",
    "DeploymentDriver": "._driver",
    "DeploymentSpec": ".._deployment",
    "DeploymentState": ".._deployment",
    "Driver": "._driver",
    "ExcludedPath": ".._source",
    "Hasher": "._hasher",
    "Job": ".._job",
    "JobDriver": "._driver",
    "JobEntry": ".._app",
    "JobSpec": ".._job",
    "JobState": ".._job",
    "LogDriver": "._driver",
    "LogLevel": ".._log_record",
    "LogPage": ".._log_record",
    "LogQuery": ".._log_record",
    "LogRecord": ".._log_record",
    "LogStream": "._driver",
    "LogTarget": ".._log_record",
    "OpenContext": "._provider",
    "OperationState": "._driver",
    "Outcome": "._hooks",
    "Page": ".._page",
    "Progress": "._progress",
    "PromotingDriver": "._driver",
    "RememberingDriver": "._driver",
    "ProviderInfo": "._provider",
    "Redactor": ".._redaction",
    "Reply": ".._deployment",
    "Secret": ".._secret",
    "SecretDriver": "._driver",
    "SecretState": ".._secret",
    "SecretValue": ".._redaction",
    "ServiceEntry": ".._app",
    "Settings": "._settings",
    "Source": ".._source",
    "SourceFile": ".._source",
    "Step": "._driver",
    "StreamingLogDriver": "._driver",
    "Support": ".._capability",
    "SupportLevel": ".._capability",
    "SystemClock": ".._clock",
    "clean_url": ".._redaction",
    "hookimpl": "._marker",
    "open_source": ".._source",
    "read_app": ".._app",
    "setting": "._settings",
    "settings_from": "._keywords",
}

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
    "Hasher",
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
    "RememberingDriver",
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


if not TYPE_CHECKING:
    # Hidden from type checkers, which would take any misspelt name for a good one.

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        import importlib

        value = getattr(importlib.import_module(home, __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"TYPE_CHECKING"})
