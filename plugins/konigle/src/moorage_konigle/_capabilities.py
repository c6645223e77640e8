"""What the konigle provider can do."""

from collections.abc import Mapping

from moorage.plugin import Capabilities, Support, SupportLevel

_STORE = (
    "the cloud keeps no apps, so they are kept among the project's uploads, which it calls"
    " temporary; they are found by reading through all of them"
)
_RECORD = "the cloud tells neither what runs nor how it was asked for; this profile's record does"
_NO_VARIABLES = (
    "the cloud has no call that sets variables, and putting them into the archive would keep"
    " them readable"
)
_NO_SECRETS = "the cloud has no call that keeps secrets"
_IN_THE_FILE = "it stands in the `bentocloud.toml` of what is deployed, and no call changes it"
_NO_JOBS = "the cloud runs only its own jobs, which provision and deploy"
_NO_APP_LOG = (
    "the cloud has no call for what apps write; the log of a deploy is that of its job, which"
    " stands in the deployment's `raw`"
)
_BY_MOMENT = "only entries that have a moment can be told apart by it; others are always given"

_OTHERS: Mapping[str, Support] = {
    **dict.fromkeys(
        (
            "artifacts.push",
            "artifacts.pull",
            "artifacts.open",
            "artifacts.get",
            "artifacts.list",
            "artifacts.delete",
            "artifacts.kind.app",
            "artifacts.kind.model",
            "artifacts.kind.data",
            "artifacts.version",
            "artifacts.labels",
        ),
        Support(SupportLevel.EMULATED, _STORE),
    ),
    "deployments.update": Support(SupportLevel.PARTIAL, _RECORD),
    "deployments.plan": Support(SupportLevel.PARTIAL, _RECORD),
    "deployments.options": Support(
        SupportLevel.PARTIAL, "there is one, `display_name`, the name of the release"
    ),
    "deployments.promote": Support(
        SupportLevel.PARTIAL, "there is one stage to promote to, `production`"
    ),
    "logs.follow.job": Support(
        SupportLevel.EMULATED, "the job is looked at again and again, and new entries are given"
    ),
    "logs.since": Support(SupportLevel.PARTIAL, _BY_MOMENT),
    "logs.until": Support(SupportLevel.PARTIAL, _BY_MOMENT),
}

_LACKING: Mapping[str, str] = {
    "deployments.start": "the cloud has no call that starts a space",
    "deployments.stop": "the cloud has no call that stops a space",
    "deployments.delete": (
        "the cloud's documentation knows no way to delete a web app;"
        " `cloud.native.webapps.delete` asks for it all the same"
    ),
    "deployments.cancel": "the cloud has no call that ends a job",
    "deployments.env": _NO_VARIABLES,
    "deployments.secrets": _NO_SECRETS,
    "deployments.instance_type": (
        "a web app runs on its computer, whose size is chosen when that is made"
    ),
    "deployments.replicas": f"the number of instances is no option: {_IN_THE_FILE}",
    "deployments.autoscaling": f"the number of instances is fixed: {_IN_THE_FILE}",
    "deployments.labels": "a web app has a name and an emoji, and no labels",
    "logs.tail.deployment": _NO_APP_LOG,
    "logs.follow.deployment": _NO_APP_LOG,
    "jobs.submit.artifact": _NO_JOBS,
    "jobs.submit.deployment": _NO_JOBS,
    "jobs.list": "the cloud documents that a job is found by its id alone",
    "jobs.cancel": "the cloud has no call that ends a job",
    "jobs.output": "a job of the cloud has a log and no result",
    "jobs.input": _NO_JOBS,
    "jobs.env": _NO_JOBS,
    "jobs.secrets": _NO_JOBS,
    "jobs.instance_type": _NO_JOBS,
    "jobs.retries": _NO_JOBS,
    "jobs.timeout": _NO_JOBS,
    "secrets.put": _NO_SECRETS,
    "secrets.get": _NO_SECRETS,
    "secrets.list": _NO_SECRETS,
    "secrets.delete": _NO_SECRETS,
    "secrets.reveal": _NO_SECRETS,
    "secrets.description": _NO_SECRETS,
}


def _support(name: str) -> Support:
    if name in _LACKING:
        return Support(SupportLevel.UNSUPPORTED, _LACKING[name])
    return _OTHERS.get(name, Support(SupportLevel.FULL))


CAPABILITIES: Mapping[str, Support] = {name: _support(name) for name in Capabilities("konigle", {})}
"""Every capability there is."""


def refusal_of(name: str) -> str:
    """Return why something cannot be done, for a driver that is asked all the same."""
    return CAPABILITIES[name].reason
