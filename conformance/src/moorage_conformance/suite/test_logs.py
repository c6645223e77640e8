"""The suite of logs."""

from ..suites import DeploymentLogSuite, JobLogSuite


class TestDeploymentLog(DeploymentLogSuite):
    """Run by `--moorage-provider`."""


class TestJobLog(JobLogSuite):
    """Run by `--moorage-provider`."""
