"""The suite of operations."""

from ..suites import OperationSuite


class TestOperation(OperationSuite):
    """Run by `--moorage-provider`."""
