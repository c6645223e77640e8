"""The suite of idempotency."""

from ..suites import IdempotencySuite, LostReplySuite


class TestIdempotency(IdempotencySuite):
    """Run by `--moorage-provider`."""


class TestLostReply(LostReplySuite):
    """Run by `--moorage-provider`."""
