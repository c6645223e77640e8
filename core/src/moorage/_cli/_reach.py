"""Finding out whether a provider answers."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._cloud import Cloud


def reach(cloud: "Cloud") -> str:
    """Make the cheapest call that a provider supports and return which it was.

    Raises:
        MoorageError: The provider does not answer, or not to these credentials.
    """
    if cloud.supports("deployments.list"):
        cloud.deployments.list().first()
        return "it lists its deployments"
    if cloud.supports("artifacts.list"):
        cloud.artifacts.list().first()
        return "it lists its artifacts"
    if cloud.supports("jobs.list"):
        cloud.jobs.list().first()
        return "it lists its jobs"
    return "it has nothing that could be listed, so it was only opened"
