"""The suite of plan."""

from ..suites import PlanSuite


class TestPlan(PlanSuite):
    """Run by `--moorage-provider`."""
