"""What a provider can do: the names, the levels and one provider's record of them."""

import difflib
import enum
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from .errors import PluginError, UnsupportedError

NAMES: Mapping[str, str] = {
    "artifacts.push": "Store an app, a model or a data set under a name and a version.",
    "artifacts.pull": "Get an artifact back, byte for byte.",
    "artifacts.open": "Read an artifact's content as a stream.",
    "artifacts.get": "Look one artifact up.",
    "artifacts.list": "List artifacts.",
    "artifacts.delete": "Delete an artifact.",
    "artifacts.kind.app": "Store portable apps.",
    "artifacts.kind.model": "Store models.",
    "artifacts.kind.data": "Store data sets.",
    "artifacts.version": "Choose an artifact's version instead of taking the provider's.",
    "artifacts.labels": "Attach labels to artifacts.",
    "deployments.deploy": "Create or replace a deployment.",
    "deployments.create": "Create a deployment, refusing a name that exists.",
    "deployments.update": "Change a deployment in place.",
    "deployments.get": "Look one deployment up.",
    "deployments.list": "List deployments.",
    "deployments.start": "Start a stopped deployment.",
    "deployments.stop": "Stop a deployment and keep its definition.",
    "deployments.delete": "Delete a deployment.",
    "deployments.cancel": "Cancel a deploy, start or stop that is under way.",
    "deployments.promote": "Move a deployment to its next stage.",
    "deployments.plan": "Tell what a deploy would change, changing nothing.",
    "deployments.call": "Send a request to a deployment's endpoint.",
    "deployments.env": "Set environment variables.",
    "deployments.secrets": "Give a deployment the values of stored secrets.",
    "deployments.instance_type": "Choose the machine that each replica runs on.",
    "deployments.replicas": "Choose how many replicas run.",
    "deployments.autoscaling": "Let the provider choose the number of replicas within bounds.",
    "deployments.labels": "Attach labels to deployments.",
    "deployments.options": "Pass options that only this provider knows.",
    "logs.tail.deployment": "Read a deployment's latest log records.",
    "logs.tail.job": "Read a job's latest log records.",
    "logs.follow.deployment": "Follow a deployment's log as it is written.",
    "logs.follow.job": "Follow a job's log as it is written.",
    "logs.since": "Read records from a moment on.",
    "logs.until": "Read records up to a moment.",
    "jobs.submit.artifact": "Run an entry point of an artifact.",
    "jobs.submit.deployment": "Run an entry point of a deployment.",
    "jobs.get": "Look one job up.",
    "jobs.list": "List jobs.",
    "jobs.cancel": "Cancel a job.",
    "jobs.output": "Give a finished job's result back.",
    "jobs.input": "Pass JSON input to a job.",
    "jobs.env": "Set environment variables for a job.",
    "jobs.secrets": "Give a job the values of stored secrets.",
    "jobs.instance_type": "Choose the machine that a job runs on.",
    "jobs.retries": "Run a failed job again.",
    "jobs.timeout": "End a job that runs too long.",
    "secrets.put": "Store a secret.",
    "secrets.get": "Look one secret up, its values hidden.",
    "secrets.list": "List secrets.",
    "secrets.delete": "Delete a secret.",
    "secrets.reveal": "Give a secret's values back.",
    "secrets.description": "Attach a description to a secret.",
}
"""Every capability, with the one sentence that the reference and the matrix show."""


class SupportLevel(enum.StrEnum):
    """How well a provider does something."""

    FULL = "full"
    """As promised, by the provider itself."""

    EMULATED = "emulated"
    """As promised, bridged by moorage; the reason says how."""

    PARTIAL = "partial"
    """With limits; the reason says which."""

    NOT_IMPLEMENTED = "not_implemented"
    """The provider could; its package does not yet."""

    UNSUPPORTED = "unsupported"
    """The provider cannot."""

    @property
    def rank(self) -> int:
        """How much it promises; `unsupported` has 0 and `full` the most."""
        return _RANK[self]


class Support(msgspec.Struct, frozen=True):
    """One capability of one provider. It is true where the capability can be used."""

    level: SupportLevel
    """How well."""

    reason: str = ""
    """One sentence for a reader of the matrix; needed for every level but `full`."""

    limit: int | None = None
    """The largest number or size in bytes that is allowed, where the provider has one."""

    def __bool__(self) -> bool:
        return self.level in _USABLE


_RANK = {level: rank for rank, level in enumerate(reversed(SupportLevel))}
_USABLE = frozenset({SupportLevel.FULL, SupportLevel.EMULATED, SupportLevel.PARTIAL})
_UNDECLARED = Support(SupportLevel.UNSUPPORTED, "the provider does not declare it")


class Capabilities(Mapping[str, Support]):
    """One provider's record of what it can do, over every capability name there is.

    A name that the provider leaves out is unsupported. A name that does not exist is an error,
    so that a misspelt question is not mistaken for a "no".
    """

    def __init__(
        self,
        provider: str,
        declared: Mapping[str, Support],
        lowered: Mapping[str, Support] | None = None,
    ) -> None:
        """Build the record.

        Args:
            provider: The provider's name, for messages.
            declared: What the provider says.
            lowered: What the profile takes away; it never adds anything.

        Raises:
            PluginError: A declared name does not exist, or a level lacks its reason.
        """
        for name, support in declared.items():
            if name not in NAMES:
                raise PluginError(
                    f"provider {provider!r} declares the unknown capability {name!r}{near(name)}",
                    hint="the reference lists every capability name",
                    provider=provider,
                )
            if support.level is not SupportLevel.FULL and not support.reason:
                raise PluginError(
                    f"provider {provider!r} declares {name!r} as {support.level} without a reason",
                    hint="give `Support` one sentence that tells a user why",
                    provider=provider,
                )
        lowered = lowered or {}
        self._provider = provider
        self._supports: dict[str, Support] = {}
        for name in NAMES:
            support = declared.get(name, _UNDECLARED)
            taken = lowered.get(name, support)
            self._supports[name] = lowest(support, taken)

    def __getitem__(self, name: str) -> Support:
        if name not in self._supports:
            raise KeyError(f"there is no capability {name!r}{near(name)}")
        return self._supports[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._supports)

    def __len__(self) -> int:
        return len(self._supports)

    def __repr__(self) -> str:
        usable = sum(map(bool, self._supports.values()))
        return f"<Capabilities of {self._provider!r}: {usable} of {len(self)}>"

    def require(self, names: Iterable[str]) -> None:
        """Check that every one of these can be used.

        Raises:
            UnsupportedError: One cannot, or there is no such capability.
        """
        for name in names:
            support = self._supports.get(name)
            if support is None:
                raise UnsupportedError(
                    f"there is no capability {name!r}{near(name)}",
                    capability=name,
                    hint="`moorage providers show NAME` lists them",
                )
            if not support:
                raise self.refusal(name)

    def refusal(self, name: str, what: str | None = None) -> UnsupportedError:
        """Return the error for a capability that cannot be used."""
        support = self[name]
        subject = what or f"{name}"
        return UnsupportedError(
            f"provider {self._provider!r} does not support {subject}: {support.reason}",
            capability=name,
            reason=support.reason,
            provider=self._provider,
            hint=f"`moorage providers show {self._provider}` lists what it can do",
        )


def lowest(one: Support, other: Support) -> Support:
    """Return the support that promises less; the first of two that promise as much."""
    return min(one, other, key=lambda support: support.level.rank)


def near(name: str, among: Iterable[str] = NAMES) -> str:
    """Return `"; did you mean 'x'?"` for the nearest name, or nothing."""
    found = difflib.get_close_matches(name, list(among), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""
