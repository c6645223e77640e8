"""What is secret is shown nowhere."""

import contextlib
import copy
import io
import json
import logging
import pickle
import tempfile
import threading
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from moorage.errors import AuthenticationError, MoorageError, PermissionDeniedError
from moorage.plugin import SecretValue

from .._metadata import extended, requires
from .._subject import PATIENCE_S, Subject
from ..faults import Answer, Fault, Replace
from ._base import Suite, UnsupportedHereError, data_file, look, state_directory, submit
from .errors import WRITES

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment

    from .._wire import Wire


_TELLING = 12
"""A shorter text may stand anywhere on a machine by chance."""


def _canary() -> str:
    return f"canary-{uuid.uuid4().hex}"


def _shown(value: Any) -> str:
    """Return all the ways in which a result may be shown or kept."""
    ways = [repr(value), str(value)]
    if isinstance(value, BaseException):
        ways += traceback.format_exception(value)
        ways.append(repr(vars(value)))
    try:
        ways.append(pickle.dumps(value).decode("latin-1"))
    except Exception:  # noqa: BLE001  # what cannot be pickled shows nothing
        ways.append("")
    try:
        ways.append(msgspec.json.encode(value, enc_hook=str).decode())
    except Exception:  # noqa: BLE001  # nor what cannot be written as JSON
        ways.append("")
    return "\n".join(ways)


def _processes_that_show(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


@contextlib.contextmanager
def _logged(caplog: pytest.LogCaptureFixture) -> Iterator[io.StringIO]:
    """Keep what is logged meanwhile, at the finest level."""
    caplog.set_level(logging.DEBUG)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    try:
        yield stream
    finally:
        logging.getLogger().removeHandler(handler)


def _files_that_hold(text: str, places: list[Path]) -> list[str]:
    found = []
    for path in (path for place in places for path in place.rglob("*")):
        try:
            if path.is_file() and text.encode() in path.read_bytes():
                found.append(str(path))
        except OSError:  # it was there for a moment only
            continue
    return found


class SecrecySuite(Suite):
    """A canary that must not be heard."""

    resource = "secrecy"
    creates = ("artifact", "deployment", "job", "secret")

    @requires("secrets.put", "secrets.get", "secrets.list")
    def test_results(self, subject: Subject, cloud: "Cloud") -> None:
        """No result of a call on secrets shows a value, however it is printed or kept."""
        name, canary = subject.run.name("secret"), _canary()
        results = [
            cloud.secrets.put(name, {"KEY": canary}),
            cloud.secrets.get(name),
            list(cloud.secrets.list()),
        ]

        assert canary not in "\n".join(map(_shown, results))

    @requires("secrets.put", "secrets.get")
    def test_logs(self, subject: Subject, caplog: pytest.LogCaptureFixture) -> None:
        """No line of any Python logger shows a secret's value, at the finest level."""
        canary = _canary()
        with _logged(caplog) as stream, subject.connect() as cloud:
            name = subject.run.name("secret")
            cloud.secrets.put(name, {"KEY": canary})
            cloud.secrets.get(name)

        assert canary not in stream.getvalue() + caplog.text

    @requires("secrets.put", "secrets.get")
    def test_addresses(self, subject: Subject, cloud: "Cloud", wire: "Wire") -> None:
        """No secret value stands in the address of a request, which logs and traces hold."""
        name, canary = subject.run.name("secret"), _canary()
        mark = wire.mark()
        cloud.secrets.put(name, {"KEY": canary})
        cloud.secrets.get(name)

        assert mark.requests
        assert [passage.target for passage in mark.passages if canary in passage.target] == []

    def test_credentials_in_logs(self, subject: Subject, caplog: pytest.LogCaptureFixture) -> None:
        """No line of any Python logger shows a credential, at the finest level."""
        secrets = _secret_settings(subject)
        if not secrets:
            raise UnsupportedHereError("no setting that connects is a credential")
        with _logged(caplog) as stream, subject.connect() as cloud:
            look(cloud)
        shown = stream.getvalue() + caplog.text

        assert [name for name, value in secrets.items() if value in shown] == []

    @requires("deployments.deploy", "deployments.secrets", "artifacts.kind.app", "secrets.put")
    def test_deployments(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A secret that a deployment is given stands in nothing that is told of it."""
        name, canary = subject.run.name("secret"), _canary()
        cloud.secrets.put(name, {"CANARY": canary})
        deployment = subject.run.name("deployment")
        operation = cloud.deployments.deploy(deployment, probe, secrets=[name])
        shown = _shown(operation) + operation.token
        shown += _shown(operation.result(timeout=PATIENCE_S))
        if cloud.supports("deployments.get"):
            shown += _shown(cloud.deployments.get(deployment))

        assert canary not in shown

    @requires("deployments.deploy", "deployments.call", "artifacts.kind.app")
    def test_apps_get_no_credentials(
        self, subject: Subject, cloud: "Cloud", served: "Deployment"
    ) -> None:
        """An app that is called gets no credential of the account, unless its caller sends one."""
        secrets = _secret_settings(subject)
        if not secrets:
            raise UnsupportedHereError("no setting that connects is a credential")
        seen = str(cloud.deployments.call(served, "GET", "/echo").json())

        assert [name for name, value in secrets.items() if value in seen] == []

    @extended
    @requires("secrets.put")
    def test_processes(self, subject: Subject, cloud: "Cloud") -> None:
        """While a secret is stored, its value stands in no command line."""
        name, canary = subject.run.name("secret"), _canary()
        seen: set[str] = set()
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                seen.update(_processes_that_show(canary))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            cloud.secrets.put(name, {"KEY": canary})
        finally:
            over.set()
            watcher.join()

        assert seen == set()

    @requires("secrets.put", "jobs.submit.artifact", "jobs.secrets", "jobs.input", "jobs.get")
    def test_jobs_and_processes(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A secret that a job is given stands in no command line and in nothing it reports."""
        name, canary = subject.run.name("secret"), _canary()
        cloud.secrets.put(name, {"CANARY": canary})
        job = submit(subject, probe, "say", input={"count": 3, "tag": "x"}, secrets=[name])
        seen = set(_processes_that_show(canary))
        done = cloud.jobs.wait(job, timeout=PATIENCE_S)
        seen |= set(_processes_that_show(canary))
        shown = _shown(job) + _shown(done)
        if cloud.supports("logs.tail.job"):
            shown += _shown(cloud.logs.tail(done))

        assert canary not in shown
        assert not seen

    @requires("secrets.put")
    def test_files(self, subject: Subject, cloud: "Cloud", monkeypatch: pytest.MonkeyPatch) -> None:
        """A secret's value stands in no file of the run in clear text, temporary ones included."""
        name, canary = subject.run.name("secret"), _canary()
        monkeypatch.setattr(tempfile, "tempdir", tempfile.mkdtemp(dir=subject.directory))
        cloud.secrets.put(name, {"KEY": canary})
        state = state_directory()
        places = [subject.directory, subject.run.ledger.path.parent]

        assert _files_that_hold(canary, [*places, *([state] if state is not None else [])]) == []

    @requires("secrets.put", "secrets.get", "secrets.delete")
    def test_traces(self, subject: Subject) -> None:
        """No secret value and no credential stands in a trace, which tells of every request."""
        from moorage._cli._trace import Listener  # what --trace FILE writes

        canary, path = _canary(), data_file(subject).with_name("trace.jsonl")
        listener = Listener(debug=False, trace=str(path))
        try:
            with subject.connect() as cloud:
                name = subject.run.name("secret")
                cloud.secrets.put(name, {"KEY": canary})
                if cloud.supports("secrets.reveal"):
                    cloud.secrets.get(name, reveal=True)
                cloud.secrets.delete(name)
        finally:
            listener.close()
        written = path.read_text("utf-8")

        assert "secrets.put" in written
        assert canary not in written
        assert [key for key, value in _secret_settings(subject).items() if value in written] == []

    @requires("secrets.put")
    @pytest.mark.parametrize("status", [400, 409, 500])
    def test_quoted_by_the_server(self, subject: Subject, wire: "Wire", status: int) -> None:
        """A server that quotes a secret when it refuses it does not bring it into the error."""
        canary, name = _canary(), subject.run.name("secret")
        said = json.dumps({"message": f"bad value {canary}", "detail": [canary], canary: "x"})
        fault = Answer(
            status=status, body=said, content_type="application/json", method=WRITES, times=None
        )
        with (
            subject.connect() as cloud,
            wire.broken(fault),
            pytest.raises(MoorageError) as caught,
        ):
            cloud.secrets.put(name, {"KEY": canary})

        assert canary not in _shown(caught.value)
        assert canary not in caught.value.message

    def test_credentials_quoted(self, subject: Subject, wire: "Wire") -> None:
        """A server that quotes the credentials it got does not bring them into the error."""
        secrets = _secret_settings(subject)
        if not secrets:
            raise UnsupportedHereError("the provider has no credentials")
        said = " ".join(secrets.values())
        kinds: list[Fault] = [
            Answer(status=401, body=json.dumps({"message": f"no: {said}"}), times=None),
            Answer(status=302, headers={"Location": f"/x?token={said.split()[0]}"}, times=None),
            Replace(body=f"<title>{said}</title>", times=None),
        ]
        shown = ""
        with subject.connect() as cloud:
            for fault in kinds:
                with wire.broken(fault), pytest.raises(MoorageError) as caught:
                    look(cloud)
                shown += _shown(caught.value)

        assert [name for name, value in secrets.items() if value in shown] == []

    def test_credentials_on_this_machine(self, subject: Subject, cloud: "Cloud") -> None:
        """No credential stands in a command line, in the ledger, or in what moorage keeps."""
        secrets = _secret_settings(subject)
        look(cloud)
        state = state_directory()
        places = [subject.run.ledger.path.parent, *([state] if state is not None else [])]
        seen = [
            name
            for name, value in secrets.items()
            if len(value) >= _TELLING
            and (_processes_that_show(value) or _files_that_hold(value, places))
        ]

        assert seen == []

    @requires("secrets.put", "secrets.get")
    def test_copies_and_pickles(self, subject: Subject, cloud: "Cloud") -> None:
        """What holds a secret value cannot be pickled, and its copies show nothing either."""
        name, canary = subject.run.name("secret"), _canary()
        cloud.secrets.put(name, {"KEY": canary})
        found = cloud.secrets.get(name, reveal=cloud.supports("secrets.reveal"))
        shown = _shown(copy.copy(found)) + _shown(copy.deepcopy(found))
        shown += f"{found.values} {found.values!r} {vars(subject.run)}"

        assert canary not in shown

    def test_settings(self, subject: Subject, cloud: "Cloud") -> None:
        """No credential among the settings is shown by the connection, its client or an error."""
        secrets = _secret_settings(subject)
        shown = _shown(cloud) + _shown(cloud.native) + _shown(cloud.capabilities)
        try:
            cloud.secrets.get(subject.missing("secret"))
        except MoorageError as exc:
            shown += _shown(exc)

        assert [name for name, value in secrets.items() if value in shown] == []

    def test_bad_credentials(self, subject: Subject) -> None:
        """Credentials that are wrong are refused as such, and not shown in the error."""
        bad = subject.harness.bad_credentials()
        if bad is None:
            raise UnsupportedHereError("the provider has no credentials")
        with (
            pytest.raises((AuthenticationError, PermissionDeniedError)) as caught,
            subject.connect(settings=bad) as cloud,
        ):
            look(cloud)
        values = [str(_text(v)) for v in bad.values() if isinstance(v, SecretValue)]

        assert [value for value in values if value in _shown(caught.value)] == []

    @extended
    @requires("secrets.put")
    def test_files_are_private(self, subject: Subject) -> None:
        """What the run keeps on this machine can be read by nobody else."""
        loose = [
            str(path)
            for path in [subject.run.ledger.path]
            if path.exists() and path.stat().st_mode & 0o077
        ]

        assert loose == []
        assert subject.directory.stat().st_mode & 0o077 == 0


def _text(value: object) -> object:
    return value.reveal() if isinstance(value, SecretValue) else value


def _secret_settings(subject: Subject) -> dict[str, str]:
    return {
        name: value.reveal()
        for name, value in subject.settings.items()
        if isinstance(value, SecretValue) and len(value.reveal()) >= 4
    }
