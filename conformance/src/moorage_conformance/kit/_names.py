"""The names that a new provider package has, all of them made of one."""

import re
from typing import Self

import msgspec

from moorage._shown import shown
from moorage.errors import AlreadyExistsError, InvalidRequestError

LONGEST = 40
"""In letters. A longer name would be possible, and nobody would want to type it."""

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
# Their packages would have the names of moorage's own.
_RESERVED = frozenset({"conformance", "plugin", "plugins", "providers"})


class PluginNames(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider package is called, everywhere that it is named."""

    provider: str
    """In profiles: `acme-cloud`."""

    distribution: str
    """For pip: `moorage-acme-cloud`."""

    module: str
    """For `import`: `moorage_acme_cloud`."""

    title: str
    """In sentences: `Acme Cloud`."""

    @classmethod
    def of(cls, provider: str) -> Self:
        """Return the names of a provider.

        Raises:
            InvalidRequestError: It cannot be the name of one.
        """
        if not _NAME.fullmatch(provider) or len(provider) > LONGEST:
            raise InvalidRequestError(
                f"{shown(provider)} cannot be the name of a provider",
                hint=f"use 1 to {LONGEST} lower-case letters and digits, with single hyphens"
                f" between words and a letter first{_suggestion(provider)}",
                fields={"name": "not a provider's name"},
            )
        if provider.startswith("moorage"):
            raise InvalidRequestError(
                f"a provider is called like its cloud, not {provider!r}",
                hint=f"`moorage-` is put before it where packages are named{_suggestion(provider)}",
                fields={"name": "begins with moorage"},
            )
        if provider in _RESERVED:
            raise InvalidRequestError(
                f"a provider cannot be called {provider!r}: moorage-{provider} would be taken for"
                " a part of moorage",
                hint="name it after the cloud that it connects to",
                fields={"name": "reserved"},
            )
        return cls(
            provider=provider,
            distribution=f"moorage-{provider}",
            module=f"moorage_{provider.replace('-', '_')}",
            title=" ".join(word.capitalize() for word in provider.split("-")),
        )

    @property
    def variable(self) -> str:
        """What its environment variables begin with: `ACME_CLOUD`."""
        return self.provider.replace("-", "_").upper()


def check_free(names: PluginNames) -> None:
    """Check that no installed provider has the name already.

    Raises:
        AlreadyExistsError: One has.
    """
    from moorage._discovery import Plugins

    for entry in Plugins(env={}).entries():
        if entry.name == names.provider:
            raise AlreadyExistsError(
                f"{entry.distribution} {entry.version} brings a provider named"
                f" {names.provider!r} already",
                hint="choose another name, or uninstall that package first",
                origin=InvalidRequestError.origin,
            )


def _suggestion(text: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-0123456789")
    plain = plain.removeprefix("moorage-")[:LONGEST].strip("-")
    return f": {plain!r}, for example" if _NAME.fullmatch(plain) else ""
