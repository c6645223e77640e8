"""One interface to machine-learning clouds.

import moorage

with moorage.connect("staging") as cloud:
    artifact = cloud.artifacts.push("examples/iris")
    cloud.deployments.deploy("iris", artifact).result(timeout=600)
"""

from ._version import __version__

# Type checkers know this name; importing it from `typing` would double the time that
# `moorage --version` takes.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ._artifact import Artifact, ArtifactKind, ArtifactRef, ArtifactState
    from ._artifacts import Artifacts
    from ._capability import Capabilities, Support, SupportLevel
    from ._cloud import Cloud, connect, resume
    from ._deployment import (
        Change,
        Deployment,
        DeploymentSpec,
        DeploymentState,
        Plan,
        Reply,
    )
    from ._deployments import Deployments
    from ._job import Job, JobState
    from ._jobs import Jobs
    from ._listing import Listing
    from ._log_record import FollowEnd, LogLevel, LogRecord
    from ._logs import LogFollow, Logs
    from ._operations import Operation
    from ._redaction import SecretValue
    from ._secret import Secret, SecretState
    from ._secrets import Secrets
    from .errors import MoorageError
    from .plugin._driver import OperationState

# Where each name lives. They are imported when they are first used: a command that only prints
# its version, or a program that only catches errors, starts several times faster that way.
_HOMES = {
    "Artifact": "_artifact",
    "ArtifactKind": "_artifact",
    "ArtifactRef": "_artifact",
    "ArtifactState": "_artifact",
    "Artifacts": "_artifacts",
    "Capabilities": "_capability",
    "Change": "_deployment",
    "Cloud": "_cloud",
    "Deployment": "_deployment",
    "DeploymentSpec": "_deployment",
    "DeploymentState": "_deployment",
    "Deployments": "_deployments",
    "FollowEnd": "_log_record",
    "Job": "_job",
    "JobState": "_job",
    "Jobs": "_jobs",
    "Listing": "_listing",
    "LogFollow": "_logs",
    "LogLevel": "_log_record",
    "LogRecord": "_log_record",
    "Logs": "_logs",
    "MoorageError": "errors",
    "Operation": "_operations",
    "OperationState": "plugin._driver",
    "Plan": "_deployment",
    "Reply": "_deployment",
    "Secret": "_secret",
    "SecretState": "_secret",
    "SecretValue": "_redaction",
    "Secrets": "_secrets",
    "Support": "_capability",
    "SupportLevel": "_capability",
    "connect": "_cloud",
    "resume": "_cloud",
}

__all__ = [
    "Artifact",
    "ArtifactKind",
    "ArtifactRef",
    "ArtifactState",
    "Artifacts",
    "Capabilities",
    "Change",
    "Cloud",
    "Deployment",
    "DeploymentSpec",
    "DeploymentState",
    "Deployments",
    "FollowEnd",
    "Job",
    "JobState",
    "Jobs",
    "Listing",
    "LogFollow",
    "LogLevel",
    "LogRecord",
    "Logs",
    "MoorageError",
    "Operation",
    "OperationState",
    "Plan",
    "Reply",
    "Secret",
    "SecretState",
    "SecretValue",
    "Secrets",
    "Support",
    "SupportLevel",
    "__version__",
    "connect",
    "resume",
]


if not TYPE_CHECKING:
    # Hidden from type checkers, which would take any misspelt name for a good one.

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None and name != "errors":
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        import importlib

        if home is None:
            # `import moorage` alone makes `moorage.errors` usable in an `except` clause.
            return importlib.import_module(".errors", __name__)
        value = getattr(importlib.import_module(f".{home}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "errors"} - {"TYPE_CHECKING"})
