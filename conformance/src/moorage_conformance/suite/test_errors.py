"""The suite of errors."""

from ..suites import ErrorSuite


class TestError(ErrorSuite):
    """Run by `--moorage-provider`."""
