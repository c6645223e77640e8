"""What the S3 provider can do: artifacts, and nothing else."""

from collections.abc import Mapping

from moorage.plugin import Capabilities, Support, SupportLevel

_REASONS = {
    "deployments": "a bucket stores things and runs none of them",
    "logs": "nothing runs in a bucket, so nothing writes a log",
    "jobs": "a bucket stores things and runs none of them",
    "secrets": "objects in a bucket are not encrypted for one reader; use a secret manager",
}


def _support(name: str) -> Support:
    noun = name.partition(".")[0]
    if noun in _REASONS:
        return Support(SupportLevel.UNSUPPORTED, _REASONS[noun])
    return Support(SupportLevel.FULL)


CAPABILITIES: Mapping[str, Support] = {name: _support(name) for name in Capabilities("s3", {})}
"""Every capability there is."""
