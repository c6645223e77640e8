"""What every suite stands on."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from _pytest.outcomes import Skipped  # `pytest.skip.Exception`, which has no static type

from moorage.plugin import SecretValue

from .._subject import PATIENCE_S, Subject
from ..outcomes import Level

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment

    from .._wire import Wire

ANY_FILE = "artifacts.kind.data|artifacts.kind.model"
"""What a test needs that pushes files as `Subject.kind`."""


class OverrideError(TypeError):
    """A subclass replaces a test of the suite, which would prove nothing."""


class UnsupportedHereError(Skipped):
    """Ends a test as `unsupported`, where no capability says that the provider lacks something."""


class Suite:
    """Promises that every provider keeps, as tests.

    Subclass one in a test module of your own to run it there, or run all with
    `moorage conformance run`. Tests are never overridden: what fails for a reason goes into the
    file of known failures.

    Attributes:
        provider: The provider to test; by default the one of `--moorage-provider`.
        resource: The noun that the tests are about.
        level: The level of the tests that say nothing else.
        needs: Capabilities without which none of the tests can be run.
        creates: What the tests create, for the announcement of a live run.
    """

    provider: ClassVar[str | None] = None
    resource: ClassVar[str]
    level: ClassVar[Level] = Level.CORE
    needs: ClassVar[tuple[str, ...]] = ()
    creates: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a subclass that replaces a test.

        Raises:
            OverrideError: It does.
        """
        super().__init_subclass__(**kwargs)
        inherited = {
            name for base in cls.__mro__[1:] for name in vars(base) if name.startswith("test_")
        }
        replaced = sorted(inherited & set(vars(cls)))
        if replaced:
            raise OverrideError(
                f"{cls.__module__}.{cls.__qualname__} overrides {', '.join(replaced)}:"
                " the tests of the suite are the same for everybody; put a failure that is known"
                " into the file of known failures"
            )

    @pytest.fixture
    def subject(
        self, moorage_subjects: Callable[[str | None], Subject], request: pytest.FixtureRequest
    ) -> Iterator[Subject]:
        """Give the provider under test, and remove afterwards what the test created."""
        subject = moorage_subjects(self.provider)
        mark, calls = subject.mark(), len(subject.recorder.calls)
        yield subject
        request.node.user_properties.append(("driver_calls", len(subject.recorder.calls) - calls))
        subject.clean(mark)

    @pytest.fixture
    def cloud(self, subject: Subject) -> "Cloud":
        """Give the connection that tests share."""
        return subject.cloud

    @pytest.fixture
    def wire(self, subject: Subject) -> "Wire":
        """Give what stands between the provider and its fake; without it, end the test."""
        if not subject.wire:
            raise UnsupportedHereError(
                "the provider speaks to no server that faults can be made on"
            )
        return subject.wire

    @pytest.fixture
    def probe(self, subject: Subject) -> "Artifact":
        """Give the probe app, pushed."""
        return subject.probe

    @pytest.fixture
    def served(self, subject: Subject) -> "Deployment":
        """Give a deployment of the probe app that no test changes."""
        return subject.served

    @pytest.fixture
    def new_deployment(self, subject: Subject, probe: "Artifact") -> Callable[..., "Deployment"]:
        """Give a function that deploys the probe app under a new name and waits for it."""

        def deploy(**options: Any) -> "Deployment":
            name = subject.run.name("deployment")
            return subject.cloud.deployments.deploy(name, probe, **options).result(
                timeout=PATIENCE_S
            )

        return deploy

    @pytest.fixture
    def new_data(self, subject: Subject) -> Callable[..., "Artifact"]:
        """Give a function that pushes a small file under a new name."""

        def push(content: bytes = b"some data\n", **options: Any) -> "Artifact":
            name = options.pop("name", None) or subject.run.name("artifact")
            path = data_file(subject, content)
            return subject.cloud.artifacts.push(path, name=name, kind=subject.kind, **options)

        return push


LISTING_NOUNS = ("secrets", "artifacts", "deployments", "jobs")


def look(cloud: "Cloud") -> None:
    """Ask the provider for something cheap that changes nothing, whatever it can do."""
    for noun in LISTING_NOUNS:
        if cloud.supports(f"{noun}.list"):
            getattr(cloud, noun).list().first()
            return
    raise UnsupportedHereError("the provider lists nothing")


def data_file(subject: Subject, content: bytes = b"some data\n", name: str = "data.bin") -> Path:
    """Write a small file into a place of its own."""
    import tempfile

    path = Path(tempfile.mkdtemp(prefix="data-", dir=subject.directory)) / name
    path.write_bytes(content)
    return path


def eventually(check: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Return the first true value of a check; the last one if none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found or time.monotonic() >= deadline:
            return found
        threading.Event().wait(0.05)


def put_secret(subject: Subject, **values: str) -> str:
    """Store a secret under a new name and return the name."""
    name = subject.run.name("secret")
    subject.cloud.secrets.put(name, values)
    return name


def submit(subject: Subject, artifact: "Artifact", entrypoint: str, **options: Any) -> Any:
    """Submit a job and write its id down, so that it is cancelled if the test does not end it."""
    job = subject.cloud.jobs.submit(artifact, entrypoint, **options)
    subject.run.announce("job", job.id)
    return job


def state_directory() -> Path | None:
    """Return where moorage and its providers keep what they know; `None` where nothing is."""
    import platformdirs

    given = os.environ.get("MOORAGE_STATE_DIR")
    path = Path(given) if given else platformdirs.user_state_path("moorage", appauthor=False)
    return path if path.is_dir() else None


def plain_settings(subject: Subject) -> dict[str, Any]:
    """Return as JSON what another process connects with: provider, profile and settings."""
    import msgspec

    def plain(value: object) -> object:
        return value.reveal() if isinstance(value, SecretValue) else str(value)

    return {
        "provider": None if subject.profile else subject.provider,
        "profile": subject.profile,
        "settings": msgspec.to_builtins(dict(subject.settings), enc_hook=plain),
    }
