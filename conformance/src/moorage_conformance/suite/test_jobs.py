"""The suite of jobs."""

from ..suites import JobSuite


class TestJob(JobSuite):
    """Run by `--moorage-provider`."""
