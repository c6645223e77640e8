"""The suite of deployments."""

from ..suites import DeploymentSuite


class TestDeployment(DeploymentSuite):
    """Run by `--moorage-provider`."""
