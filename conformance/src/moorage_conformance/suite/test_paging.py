"""The suite of paging."""

from ..suites import PagingSuite


class TestPaging(PagingSuite):
    """Run by `--moorage-provider`."""
