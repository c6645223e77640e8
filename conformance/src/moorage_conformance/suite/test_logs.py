"""The suite of logs."""

from ..suites import DeploymentLogSuite, JobLogSuite, LogLookupSuite


class TestLogLookup(LogLookupSuite):
    """Run by `--moorage-provider`."""


class TestDeploymentLog(DeploymentLogSuite):
    """Run by `--moorage-provider`."""


class TestJobLog(JobLogSuite):
    """Run by `--moorage-provider`."""
