"""What the local provider can do."""

from collections.abc import Mapping

from moorage.plugin import Capabilities, Support, SupportLevel

_MACHINE = "everything runs on this machine, so there is no other to choose"

_LACKING = {
    "deployments.promote": "a home has no stages; deploy the same artifact under another name",
    "deployments.instance_type": _MACHINE,
    "deployments.autoscaling": "one machine has a fixed capacity; set `replicas`",
    "jobs.instance_type": _MACHINE,
}

CAPABILITIES: Mapping[str, Support] = {
    name: Support(SupportLevel.UNSUPPORTED, _LACKING[name])
    if name in _LACKING
    else Support(SupportLevel.FULL)
    for name in Capabilities("local", {})
}
"""Every capability there is."""
