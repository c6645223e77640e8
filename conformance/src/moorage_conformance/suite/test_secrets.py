"""The suite of secrets."""

from ..suites import SecretSuite


class TestSecret(SecretSuite):
    """Run by `--moorage-provider`."""
