"""The suite of jobs."""

from ..suites import JobLookupSuite, JobSuite


class TestJobLookup(JobLookupSuite):
    """Run by `--moorage-provider`."""


class TestJob(JobSuite):
    """Run by `--moorage-provider`."""
