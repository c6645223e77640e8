"""What the provider can do. It is data: it is read without importing the driver."""

from collections.abc import Mapping

from moorage.plugin import Support, SupportLevel

_FULL = Support(SupportLevel.FULL)

# A name that is left out is unsupported, and the portable layer refuses whatever needs it before
# anything is sent. `moorage plugin check` knows every name and points at those that do not exist.
CAPABILITIES: Mapping[str, Support] = {
    "artifacts.push": _FULL,
    "artifacts.pull": _FULL,
    "artifacts.open": _FULL,
    "artifacts.get": _FULL,
    "artifacts.list": _FULL,
    "artifacts.delete": _FULL,
    "artifacts.kind.app": _FULL,
    "artifacts.kind.model": _FULL,
    "artifacts.kind.data": _FULL,
    "artifacts.version": _FULL,
    "artifacts.labels": _FULL,
    "deployments.deploy": _FULL,
    "deployments.create": _FULL,
    "deployments.update": _FULL,
    "deployments.get": _FULL,
    "deployments.list": _FULL,
    "deployments.start": _FULL,
    "deployments.stop": _FULL,
    "deployments.delete": _FULL,
    "deployments.cancel": Support(
        SupportLevel.NOT_IMPLEMENTED, "the API can call a change off; this package does not yet"
    ),
    "deployments.promote": Support(
        SupportLevel.UNSUPPORTED, "a project has no stages; deploy under another name"
    ),
    "deployments.plan": _FULL,
    "deployments.call": _FULL,
    "deployments.env": _FULL,
    "deployments.secrets": _FULL,
    "deployments.instance_type": _FULL,
    "deployments.replicas": Support(
        SupportLevel.PARTIAL, "a deployment has at most ten replicas", limit=10
    ),
    "deployments.autoscaling": Support(
        SupportLevel.UNSUPPORTED, "the number of replicas is fixed; set `replicas`"
    ),
    "deployments.labels": _FULL,
    "deployments.options": Support(
        SupportLevel.UNSUPPORTED, "there are no options beyond the portable ones"
    ),
    "logs.tail.deployment": _FULL,
    "logs.tail.job": _FULL,
    "logs.follow.deployment": _FULL,
    "logs.follow.job": _FULL,
    "logs.since": _FULL,
    "logs.until": _FULL,
    "jobs.submit.artifact": _FULL,
    "jobs.submit.deployment": Support(
        SupportLevel.EMULATED, "the deployment's artifact is looked up and submitted"
    ),
    "jobs.get": _FULL,
    "jobs.list": _FULL,
    "jobs.cancel": _FULL,
    "jobs.output": _FULL,
    "jobs.input": _FULL,
    "jobs.env": _FULL,
    "jobs.secrets": _FULL,
    "jobs.instance_type": _FULL,
    "jobs.retries": _FULL,
    "jobs.timeout": _FULL,
    "secrets.put": _FULL,
    "secrets.get": _FULL,
    "secrets.list": _FULL,
    "secrets.delete": _FULL,
    "secrets.reveal": _FULL,
    "secrets.description": _FULL,
}
