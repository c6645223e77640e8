"""What BentoCloud can do."""

from collections.abc import Mapping

from moorage.plugin import Capabilities, Support, SupportLevel

NO_DELETE = "the cloud's API has no call that deletes a bento or a model"
_NO_DATA = "the cloud stores bentos and models, and no data sets"
_TASK = "a job is a task of the deployment's endpoint"
_OF_DEPLOYMENT = "a task runs in its deployment, with all that the deployment has"
_LOG_OF_DEPLOYMENT = "a task writes to the log of its deployment"

_LACKING = {
    "artifacts.delete": NO_DELETE,
    "artifacts.kind.data": _NO_DATA,
    "deployments.cancel": "a change that has begun cannot be called off; deploy what was before",
    "deployments.promote": "the cloud has no stages; deploy the artifact under another name",
    "jobs.submit.artifact": "the cloud runs a job only in a deployment; deploy the artifact and"
    " submit to the deployment",
    "jobs.env": _OF_DEPLOYMENT,
    "jobs.secrets": _OF_DEPLOYMENT,
    "jobs.instance_type": _OF_DEPLOYMENT,
    "jobs.timeout": "a task has no time limit of its own",
    "logs.tail.job": _LOG_OF_DEPLOYMENT,
    "logs.follow.job": _LOG_OF_DEPLOYMENT,
}

_EMULATED = {
    "deployments.start": "by an update that changes nothing",
    "jobs.submit.deployment": _TASK,
    "jobs.get": _TASK,
    "jobs.list": "the cloud lists no tasks: those that were submitted from here are remembered",
    "jobs.cancel": f"{_TASK}; one that runs on may still end by itself",
    "jobs.input": _TASK,
    "jobs.output": _TASK,
    "jobs.retries": "a failed task is submitted again when somebody looks at it",
}

_PARTIAL = {
    "secrets.reveal": "as far as the cloud gives values back to the owner of the token",
}


def _support(name: str) -> Support:
    if name in _LACKING:
        return Support(SupportLevel.UNSUPPORTED, _LACKING[name])
    if name in _EMULATED:
        return Support(SupportLevel.EMULATED, _EMULATED[name])
    if name in _PARTIAL:
        return Support(SupportLevel.PARTIAL, _PARTIAL[name])
    return Support(SupportLevel.FULL)


CAPABILITIES: Mapping[str, Support] = {
    name: _support(name) for name in Capabilities("bentocloud", {})
}
"""Every capability there is."""
