"""The provider under test, as the tests of one process see it."""

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage.errors import ConflictError, MoorageError, NotFoundError, PluginError

from ._connection import Recorder, connect, find_harness
from ._ledger import Entry, Header, Ledger, Run
from ._pace import BriskClock
from ._probe import write_probe
from ._transcript import transcript
from ._wire import Wire
from .harness import Harness, HarnessError, Target, check_shape

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment, Operation
    from moorage.plugin import Clock

    from ._wire import Mark
    from .outcomes import Exchange

PATIENCE_S = 300.0
"""Longest that a test waits for a provider."""

MANY = 105
"""More than a cloud gives on one page."""

_NOUNS = {
    "artifact": "artifacts",
    "deployment": "deployments",
    "job": "jobs",
    "secret": "secrets",
}


class Subject:
    """One provider, its harness and the run that tests it.

    Attributes:
        provider: Its name.
        info: What it declares.
        harness: How it is reached.
        run: Names what is created.
        directory: Of this run, removed at its end.
        recorder: Sees every driver call of `cloud` and of each connection with no own recorder.
        wire: What stands between the provider and its fake, once it is started.
        left_behind: What could not be removed, and why.
    """

    def __init__(
        self,
        provider: str,
        run: Run,
        *,
        profile: str | None = None,
        target: Target = Target.FAKE,
        directory: Path | None = None,
        harness: Any = None,
        faulty: bool = False,
    ) -> None:
        """Find the provider and its harness; nothing is started.

        Args:
            provider: Its name.
            run: Names what is created.
            profile: To be used instead of the harness's settings.
            target: What is talked to.
            directory: Of a run that is swept; by default a new one.
            harness: By default the one that the hook gives.
            faulty: Whether the wire breaks mildly all the time.

        Raises:
            PluginError: The provider is not installed or broken.
            HarnessError: It brings no harness, or not a whole one.
        """
        self.info, found = find_harness(provider)
        self.provider = provider
        check_shape(found if harness is None else harness, provider)
        self.harness: Harness = found if harness is None else harness
        self.run = run
        self.profile = profile
        self.target = target
        self.recorder = Recorder()
        self.wire = Wire(self.info, {})
        self._faulty = faulty
        self._cleaners: list[Callable[[str], str]] = []
        self.left_behind: list[str] = []
        self._stack = contextlib.ExitStack()
        self._given_directory = directory
        self.directory = directory or Path()
        self._settings: Mapping[str, Any] = {}
        self._cloud: Cloud | None = None
        self._probe: Artifact | None = None
        self._served: Deployment | None = None
        self._shared: set[str] = set()
        self._versions: tuple[str, list[str]] | None = None
        self._going: dict[Entry, Operation[None]] = {}

    def start(self) -> None:
        """Start what is talked to.

        Raises:
            HarnessError: The harness cannot start it, or its settings are wrong.
        """
        if self._given_directory is None:
            prefix = f"moorage-conformance-{self.run.id}-"
            self.directory = Path(
                self._stack.enter_context(
                    tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
                )
            )
        place = self.directory / "harness"
        place.mkdir(exist_ok=True)
        self.run.ledger.write(
            Header(
                provider=self.provider,
                profile=self.profile,
                target=str(self.target),
                directory=str(self.directory),
            )
        )
        with _blamed("running()"):
            self._stack.enter_context(self.harness.running(str(self.target), place))
        with _blamed("settings()"):
            settings = {} if self.profile else dict(self.harness.settings())
            self.wire = Wire(self.info, settings, faulty=self._faulty)
        if self._faulty and not self.wire:
            raise HarnessError(
                "there is no wire to make faults on: no setting that is marked as a destination"
                " holds the URL of a fake on this machine"
            )
        self._stack.callback(self.wire.close)
        self.wire.start()
        self._settings = self.wire.through(settings)
        with _blamed("settings() or the profile: connecting with them"):
            self._cloud = self.connect()

    @property
    def cloud(self) -> "Cloud":
        """The connection that tests share; none of them closes it."""
        if self._cloud is None:
            msg = "the subject has not been started"
            raise HarnessError(msg)
        return self._cloud

    def connect(
        self,
        *,
        recorder: Recorder | None = None,
        without: Mapping[str, str] | None = None,
        clock: "Clock | None" = None,
        settings: Mapping[str, Any] | None = None,
    ) -> "Cloud":
        """Return a connection of the test's own, which the test closes.

        Args:
            recorder: Sees its driver calls.
            without: Capabilities to take away, with the reason.
            clock: The time; by default one that does not wait long for a fake.
            settings: Win over those that connect.
        """
        if clock is None and self.target is Target.FAKE:
            clock = BriskClock()
        recorder = recorder or self.recorder
        recorder.calm = self.wire.calm
        cloud = connect(
            None if self.profile else self.provider,
            self.profile,
            {**self._settings, **self.wire.through(settings or {})},
            recorder=recorder,
            without=without,
            clock=clock,
        )
        self._cleaners.append(cloud.redact)
        return cloud

    def clean_text(self, text: str) -> str:
        """Return a text without any secret that a connection of this run has met."""
        for clean in self._cleaners:
            text = clean(text)
        return text

    def transcript(self, mark: "Mark") -> "tuple[Exchange, ...]":
        """Return what passed the wire since a moment, secrets masked."""
        return transcript(mark.conversations, self.clean_text)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings that connect; empty where a profile does."""
        return self._settings

    def supports(self, *names: str) -> bool:
        """Return whether the provider declares all of these."""
        return all(self.cloud.supports(name) for name in names)

    @property
    def kind(self) -> str:
        """The kind of artifact that any file can be pushed as: `data`, or else `model`."""
        return "data" if self.supports("artifacts.kind.data") else "model"

    # What tests share -----------------------------------------------------------------------------

    def write_probe(self, edition: str = "1") -> Path:
        """Return the path of a new copy of the probe app, in the form that the provider runs."""
        place = Path(tempfile.mkdtemp(prefix="probe-", dir=self.directory))
        source = write_probe(place / "app", edition)
        with _blamed("runnable_artifact()"):
            return Path(self.harness.runnable_artifact(source))

    @property
    def probe(self) -> "Artifact":
        """The probe app, pushed once."""
        if self._probe is None:
            name = self.run.name("artifact")
            self._shared.add(name)
            self._probe = self.cloud.artifacts.push(self.write_probe(), name=name)
        return self._probe

    @property
    def served(self) -> "Deployment":
        """A deployment of the probe app, which tests call and none of them changes."""
        if self._served is None:
            probe = self.probe
            name = self.run.name("deployment")
            self._shared.add(name)
            self._served = self.cloud.deployments.deploy(name, probe).result(timeout=PATIENCE_S)
        return self._served

    @property
    def versions(self) -> tuple[str, list[str]]:
        """The name of an artifact and its versions, the oldest first: more than fit on a page.

        A test that pushes another one adds it to the list.
        """
        if self._versions is None:
            name = self.run.name("artifact")
            self._shared.add(name)
            path = Path(tempfile.mkdtemp(prefix="data-", dir=self.directory)) / "data.bin"
            made = []
            for number in range(MANY):
                path.write_text(str(number))
                made.append(self.cloud.artifacts.push(path, name=name, kind=self.kind).version)
            self._versions = name, made
        return self._versions

    def seed(self, resource: str) -> str | None:
        """Let the harness make a resource; return its name or id."""
        name = self.run.name(resource)
        with _blamed(f"seed({resource!r})"):
            seeded = self.harness.seed(self.cloud, resource, name)
        if seeded is not None and not isinstance(seeded, str):
            raise HarnessError(f"seed({resource!r}) returned {seeded!r} instead of text or None")
        if seeded is not None and seeded != name:
            self.run.announce(resource, seeded)
        return seeded

    def missing(self, resource: str) -> str:
        """Return the name or id of something that does not exist."""
        with _blamed(f"missing_id({resource!r})"):
            missing = self.harness.missing_id(resource)
        if not isinstance(missing, str) or not missing:
            raise HarnessError(f"missing_id({resource!r}) returned {missing!r} instead of text")
        return missing

    # The harness comes first ----------------------------------------------------------------------

    def check_harness(self) -> None:
        """Check what the tests will rely on.

        Raises:
            HarnessError: It does not hold, so that failures would say nothing about the plugin.
        """
        source = self.write_probe()
        if not source.exists():
            raise HarnessError(f"runnable_artifact() returned {source}, which does not exist")
        for resource, noun in _NOUNS.items():
            missing = self.missing(resource)
            if not self.supports(f"{noun}.get"):
                continue
            try:
                getattr(self.cloud, noun).get(missing)
            except ValueError as exc:
                if getattr(exc, "status", None) is not None:
                    continue  # it was sent, and why the server refuses it is for the tests to tell
                raise HarnessError(
                    f"missing_id({resource!r}) returned {missing!r}, which is not well-formed:"
                    f" {exc}"
                ) from exc
            except MoorageError:
                pass  # which error it is, is for the tests to judge
            else:
                raise HarnessError(
                    f"missing_id({resource!r}) returned {missing!r}, which exists: return the name"
                    " of something that does not"
                )
        with _blamed("bad_credentials()"):
            bad = self.harness.bad_credentials()
        if bad is not None and dict(bad) == dict(self._settings):
            raise HarnessError(
                "bad_credentials() returned the good settings: return others, or None"
            )
        self._sweep(self.cloud)
        self.left_behind.clear()  # nothing has been made yet

    # Removing what was made -----------------------------------------------------------------------

    def mark(self) -> int:
        """Return a place to `clean` from."""
        return len(self.run.entries)

    def clean(self, since: int = 0, *, shared: bool = False) -> None:
        """Remove what was created after a mark, the newest first.

        Args:
            since: What `mark` returned.
            shared: Whether to remove what tests share, too.
        """
        entries = self.run.entries[since:]
        del self.run.entries[since:]
        kept = [e for e in entries if e.name in self._shared and not shared]
        self.run.entries.extend(kept)
        # What uses others goes first.
        for resource in _REMOVERS:
            for entry in reversed(entries):
                if entry.resource == resource and entry not in kept:
                    self.remove(entry, last=shared)
            if shared:
                self._wait_until_gone()

    def remove(self, entry: Entry, *, last: bool = False) -> None:
        """Remove one thing that the run created, if it is there.

        Args:
            entry: What.
            last: Whether this is the end of the run. Before, a deployment is let go of without
                waiting for it, and what it still uses is left for later.
        """
        try:
            going = _REMOVERS[entry.resource](self.cloud, entry.name)
            if going is not None:
                self._going[entry] = going
        except NotFoundError:
            pass
        except MoorageError as exc:
            if isinstance(exc, ConflictError) and not last:
                self.run.entries.append(entry)
            else:
                self.left_behind.append(f"{entry.resource}/{entry.name}: {exc.message}")

    def _wait_until_gone(self) -> None:
        for entry, operation in self._going.items():
            try:
                operation.result(timeout=PATIENCE_S)
            except MoorageError as exc:
                self.left_behind.append(f"{entry.resource}/{entry.name}: {exc.message}")
        self._going.clear()

    def stop(self) -> None:
        """Remove everything that the run made and stop what was started."""
        try:
            if self._cloud is not None:
                self.clean(shared=True)
                self._sweep(self._cloud)
        finally:
            if self._cloud is not None:
                self._cloud.close()
            with _blamed("the end of running()"):
                self._stack.close()

    def _sweep(self, cloud: "Cloud") -> None:
        """Let the harness remove what it alone can; what the plugin fails at is no fault of it."""
        with _blamed("sweep()"):
            try:
                self.harness.sweep(cloud, self.run.id)
            except MoorageError as exc:
                self.left_behind.append(f"what the harness sweeps: {exc.message}")


def _remove_artifact(cloud: "Cloud", ref: str) -> None:
    name = ref.partition(":")[0]  # the harness may have named a version
    if not (cloud.supports("artifacts.delete") and cloud.supports("artifacts.list")):
        return
    for artifact in list(cloud.artifacts.list(name)):
        cloud.artifacts.delete(artifact, missing_ok=True)


def _remove_deployment(cloud: "Cloud", name: str) -> "Operation[None] | None":
    if not cloud.supports("deployments.delete"):
        return None
    return cloud.deployments.delete(name, missing_ok=True)


def _remove_job(cloud: "Cloud", job_id: str) -> None:
    if cloud.supports("jobs.cancel"):
        cloud.jobs.cancel(job_id)


def _remove_secret(cloud: "Cloud", name: str) -> None:
    if cloud.supports("secrets.delete"):
        cloud.secrets.delete(name, missing_ok=True)


_REMOVERS: "Mapping[str, Callable[[Cloud, str], Operation[None] | None]]" = {
    "deployment": _remove_deployment,
    "job": _remove_job,
    "secret": _remove_secret,
    "artifact": _remove_artifact,
}


@contextlib.contextmanager
def _blamed(what: str) -> Any:
    """Say that it was the harness."""
    try:
        yield
    except (HarnessError, PluginError):
        raise  # a plugin that cannot be opened is no fault of whoever opens it
    except Exception as exc:
        raise HarnessError(
            f"the harness is wrong: {what} failed: {type(exc).__name__}: {exc}"
        ) from exc


def sweep(run_id: str, profile: str | None = None) -> tuple[int, list[str]]:
    """Remove what a run left that did not come to its end.

    Args:
        run_id: Which run.
        profile: To be used instead of the one that the run used.

    Returns:
        How many things were looked at, and what could not be removed.

    Raises:
        NotFoundError: There is no such run.
    """
    ledger = Ledger(run_id)
    lines = list(ledger.lines())
    headers = [line for line in lines if isinstance(line, Header)]
    entries = [line for line in lines if isinstance(line, Entry)]
    left: list[str] = []
    for header in dict.fromkeys(headers):
        directory = Path(header.directory)
        if header.target == Target.FAKE and not directory.is_dir():
            continue  # what the run was about is gone itself
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as fallback:
            subject = Subject(
                header.provider,
                Run(run_id, _Silent(run_id)),
                profile=profile or header.profile,
                target=Target(header.target),
                directory=directory if directory.is_dir() else Path(fallback),
            )
            subject.start()
            subject.run.entries.extend(entries)
            subject.stop()
            left += subject.left_behind
        if header.target == Target.FAKE and not left:
            import shutil

            shutil.rmtree(directory, ignore_errors=True)
    if not left:
        ledger.discard()
    return len(entries), left


class _Silent(Ledger):
    """The ledger of a sweep: nothing is created, so nothing is written."""

    def write(self, line: object) -> None:
        """Write nothing."""
