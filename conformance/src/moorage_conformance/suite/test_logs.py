"""The suite of logs."""

from ..suites import (
    DeploymentLogCutSuite,
    DeploymentLogSuite,
    JobLogCutSuite,
    JobLogSuite,
    LogLookupSuite,
)


class TestLogLookup(LogLookupSuite):
    """Run by `--moorage-provider`."""


class TestDeploymentLog(DeploymentLogSuite):
    """Run by `--moorage-provider`."""


class TestJobLog(JobLogSuite):
    """Run by `--moorage-provider`."""


class TestJobLogCut(JobLogCutSuite):
    """Run by `--moorage-provider`."""


class TestDeploymentLogCut(DeploymentLogCutSuite):
    """Run by `--moorage-provider`."""
