"""What the provider for ABEJA Platform can do."""

from collections.abc import Mapping

from moorage.plugin import Capabilities, Support, SupportLevel

_ENVIRONMENT = "the platform has no place for it, so that it is kept in the service's environment"
_POLLED = "the platform streams no logs, so that moorage asks for new lines again and again"
_COPIED = "moorage copies the values into the environment when it deploys or submits"

_BRIDGED = {
    "artifacts.labels": "they are kept in the parameters of versions and models, and in metadata",
    "deployments.create": "moorage looks first, and of several at once the first one stays",
    "deployments.update": "a new service takes the place of the one before",
    "deployments.cancel": "moorage deletes the new service, or starts or stops it back",
    "deployments.secrets": _COPIED,
    "deployments.labels": _ENVIRONMENT,
    "deployments.call": "paths, methods and headers travel to the handler in headers of moorage's",
    "logs.follow.deployment": _POLLED,
    "logs.follow.job": _POLLED,
    "jobs.submit.deployment": "a run of what the deployment runs, with its variables and secrets",
    "jobs.list": "the platform lists by deployment, and moorage merges these lists",
    "jobs.secrets": _COPIED,
    "jobs.timeout": "the handler ends the job itself",
    "secrets.description": "it has the names of the secret's values at its end",
}

_PARTLY = {
    "artifacts.delete": "models can only be archived: they are listed no more, and stay",
}

_LACKING = {
    "deployments.promote": "the platform has no stages; deploy the artifact under another name",
    "jobs.cancel": "the platform has no call that ends a run",
    "jobs.instance_type": "a run takes the machine that the platform chooses",
}

CAPABILITIES: Mapping[str, Support] = {
    name: (
        Support(SupportLevel.UNSUPPORTED, _LACKING[name])
        if name in _LACKING
        else Support(SupportLevel.EMULATED, _BRIDGED[name])
        if name in _BRIDGED
        else Support(SupportLevel.PARTIAL, _PARTLY[name])
        if name in _PARTLY
        else Support(SupportLevel.FULL, limit=9 if name == "jobs.retries" else None)
    )
    for name in Capabilities("abeja", {})
}
"""Every capability there is."""
