"""The suite of idempotency."""

from ..suites import IdempotencySuite


class TestIdempotency(IdempotencySuite):
    """Run by `--moorage-provider`."""
