"""What a provider package brings so that the suite can test it: one small object."""

import enum
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from moorage import Cloud

RESOURCES = ("artifact", "deployment", "job", "secret")
"""The words that a harness is asked with."""


class Target(enum.StrEnum):
    """What the suite talks to."""

    FAKE = "fake"
    """Something that the harness starts, and that holds nothing of anybody."""

    LIVE = "live"
    """The account of a profile."""


class HarnessError(Exception):
    """The harness is wrong, so that nothing can be said about the plugin."""


UNUSABLE = "the plugin cannot be used: "
"""How a problem begins that is not the harness's but the plugin's own."""


def blamed(problem: str) -> str:
    """Return in a few words whose a problem is, for which nothing could be tested."""
    if problem.startswith(UNUSABLE):
        return "the plugin cannot be used, so that nothing was tested"
    return "the harness is wrong, not the plugin"


class Harness(Protocol):
    """How the suite reaches one provider; the hook `moorage_conformance_harness` returns it.

    It is no base class: an object with these methods will do, so that a plugin needs no import
    of the suite.
    """

    def running(self, target: str, directory: Path, /) -> AbstractContextManager[object]:
        """Start what the suite talks to and stop it at the end.

        With the target `"live"`, or for a provider that needs no server, there is little to do.

        Args:
            target: `"fake"` or `"live"`.
            directory: An empty directory for all that it keeps. After a crash it is started
                again on the same one, to sweep.
        """

    def settings(self) -> Mapping[str, Any]:
        """Return the settings that connect to what runs; asked for once it does."""

    def bad_credentials(self) -> Mapping[str, Any] | None:
        """Return settings that the provider must refuse; `None` if it has no credentials."""

    def missing_id(self, resource: str, /) -> str:
        """Return the name (of a job: the id) of something well-formed that does not exist.

        Args:
            resource: `"artifact"`, `"deployment"`, `"job"` or `"secret"`.
        """

    def seed(self, cloud: "Cloud", resource: str, name: str, /) -> str | None:
        """Make a resource without the calls under test, through the provider's own client.

        Returns:
            Its name (of a job: its id); `None` where there is no other way to make one.
        """

    def runnable_artifact(self, directory: Path, /) -> Path:
        """Return what the suite shall push and run.

        Args:
            directory: Holds the suite's own portable app, whose answers the tests know. Return it
                as it is, or with what the provider needs added.
        """

    def sweep(self, cloud: "Cloud", run_id: str, /) -> None:
        """Remove what a run left that the portable calls cannot remove.

        Args:
            cloud: A connection.
            run_id: Stands in the name of everything that the run made; touch nothing else.
        """


METHODS = (
    "running",
    "settings",
    "bad_credentials",
    "missing_id",
    "seed",
    "runnable_artifact",
    "sweep",
)
"""All that a harness has."""


def check_shape(harness: object, provider: str) -> None:
    """Check that an object is a harness.

    Raises:
        HarnessError: It is not.
    """
    if harness is None:
        raise HarnessError(
            f"provider {provider!r} brings no harness: implement the hook"
            " moorage_conformance_harness(provider) beside moorage_provider()"
        )
    missing = [name for name in METHODS if not callable(getattr(harness, name, None))]
    if missing:
        raise HarnessError(f"the harness of {provider!r} lacks {', '.join(missing)}")
