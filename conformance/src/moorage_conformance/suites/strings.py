"""Text of every kind is kept as it is, or refused before it is sent."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from moorage.errors import InvalidRequestError, NotFoundError
from moorage.plugin import SecretValue

from .._connection import Recorder
from .._metadata import requires
from .._subject import PATIENCE_S, Subject
from ..outcomes import Level
from ._base import ANY_FILE, Suite, data_file, submit

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment

    from .._wire import Wire

TEXTS = {
    "unicode": "Größe 日本語 ñandú",
    "emoji": "👩🏽‍🔬🚀",
    "right-to-left": "שלום \u202eabc\u202c مرحبا",
    "combining": "e\u0301 vs \u00e9",
    "control": "tab\tnewline\nbell\x07 escape\x1b[31m",
    "long": "x" * 30_000,
    "shell": "$(id) `id` ; rm -rf / && 'quoted' \"double\" \\",
    "markup": "<script>alert(1)</script> &amp; {{ 7*7 }} %s %(x)s ${x}",
    "sql": "'; DROP TABLE secrets; --",
    "blank": "   ",
    "path": "../../etc/passwd",
}
NAMES = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a b",
    "A",
    "é",
    "x" * 64,
    "-a",
    "a-",
    "a\n",
    "a\x00b",
    "a..b",
]
_ONE_LINE = [
    TEXTS[kind] for kind in ("unicode", "emoji", "combining", "shell", "markup", "sql", "path")
]
RESERVED = ["con", "nul", "null", "none", "true", "default", "index", "0", "api", "admin"]


class StringSuite(Suite):
    """Odd text."""

    resource = "strings"
    level = Level.EXTENDED
    creates = ("artifact", "deployment", "job", "secret")

    @requires("secrets.put", "secrets.get", "secrets.reveal")
    @pytest.mark.parametrize("kind", TEXTS)
    def test_secret_values(self, subject: Subject, cloud: "Cloud", kind: str) -> None:
        """A secret's value of any text comes back as it is."""
        name = subject.run.name("secret")
        cloud.secrets.put(name, {"KEY": TEXTS[kind]})

        assert cloud.secrets.get(name, reveal=True).values["KEY"] == SecretValue(TEXTS[kind])

    @requires("jobs.submit.artifact", "jobs.input", "jobs.output", "jobs.get")
    def test_job_input(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A job's input of any text comes back as it is, as keys and as values."""
        value = {**TEXTS, **{text[:100]: kind for kind, text in TEXTS.items()}}
        job = submit(subject, probe, "echo", input=value)

        assert cloud.jobs.wait(job, timeout=PATIENCE_S).output == value

    @requires("artifacts.push", "artifacts.labels", "artifacts.get", ANY_FILE)
    def test_labels(self, subject: Subject, cloud: "Cloud") -> None:
        """Labels of any printable text are kept as they are."""
        labels = {k: t[:255] for k, t in TEXTS.items() if t[:255].isprintable()}
        pushed = cloud.artifacts.push(
            data_file(subject), name=subject.run.name("artifact"), kind=subject.kind, labels=labels
        )

        assert cloud.artifacts.get(pushed).labels == labels

    @requires("artifacts.push", "artifacts.pull", ANY_FILE)
    def test_file_names(self, subject: Subject, cloud: "Cloud") -> None:
        """Files of a directory keep their names, whatever language they are in."""
        place = data_file(subject).parent / "tree"
        place.mkdir()
        names = {"größe.txt", "日本語", "with space", "-dash", "semi;colon", "quote'd", "👩.bin"}
        for name in names:
            (place / name).write_bytes(name.encode())
        pushed = cloud.artifacts.push(place, name=subject.run.name("artifact"), kind=subject.kind)
        pulled = cloud.artifacts.pull(pushed, place.with_name("back"))

        assert {path.name: path.read_bytes() for path in pulled.iterdir()} == {
            name: name.encode() for name in names
        }

    @requires("secrets.put")
    @pytest.mark.parametrize("name", NAMES, ids=ascii)
    def test_names_refused(self, subject: Subject, name: str) -> None:
        """A name that not every provider can hold is refused before anything is sent."""
        recorder, mark = Recorder(), subject.wire.mark()
        with subject.connect(recorder=recorder) as cloud, pytest.raises(InvalidRequestError):
            cloud.secrets.put(name, {"KEY": "some-value"})

        assert recorder.calls == []
        assert mark.requests == 0

    @requires("secrets.put", "secrets.get", "secrets.delete")
    @pytest.mark.parametrize("word", RESERVED)
    def test_reserved_words(self, subject: Subject, cloud: "Cloud", word: str) -> None:
        """Words that mean something elsewhere are names like others."""
        name = f"{subject.run.name('secret')}.{word}"
        subject.run.announce("secret", name)
        cloud.secrets.put(name, {"KEY": "some-value"})

        assert cloud.secrets.get(name).name == name

    @requires("secrets.put", "secrets.get")
    def test_longest_name(self, subject: Subject, cloud: "Cloud") -> None:
        """A name of 63 characters is held."""
        name = f"{subject.run.name('secret')}-".ljust(63, "x")
        subject.run.announce("secret", name)
        cloud.secrets.put(name, {"KEY": "some-value"})

        assert cloud.secrets.get(name).name == name

    @requires("artifacts.get")
    @pytest.mark.parametrize("name", NAMES, ids=ascii)
    def test_looked_up_names_refused(self, subject: Subject, name: str) -> None:
        """A name that nothing can have is refused before anything is asked, whatever it names."""
        recorder, mark = Recorder(), subject.wire.mark()
        with subject.connect(recorder=recorder) as cloud:
            for noun in ("artifacts", "deployments", "secrets"):
                for verb in ("get", "delete"):
                    if cloud.supports(f"{noun}.{verb}"):
                        with pytest.raises(InvalidRequestError):
                            getattr(getattr(cloud, noun), verb)(name)

        assert recorder.calls == []
        assert mark.requests == 0

    @requires("artifacts.push", "artifacts.version", ANY_FILE)
    @pytest.mark.parametrize("version", ["", "..", "../1", "a/b", "a b", "é", "1\n", "x" * 129])
    def test_versions_refused(self, subject: Subject, version: str) -> None:
        """A version that not every provider can hold is refused before anything is sent."""
        path, mark = data_file(subject), subject.wire.mark()
        with subject.connect() as cloud, pytest.raises(InvalidRequestError):
            cloud.artifacts.push(path, name="x", kind=subject.kind, version=version)

        assert mark.requests == 0

    @requires("jobs.get")
    @pytest.mark.parametrize("job_id", ["..", "../x", "a/b", "x?y=z", "x#y", "%2e%2e", "x" * 3000])
    def test_odd_job_ids(self, subject: Subject, wire: "Wire", job_id: str) -> None:
        """An id that looks like a path leads nowhere else: refused, or there is no such job."""
        mark = wire.mark()
        with subject.connect() as cloud, pytest.raises((InvalidRequestError, NotFoundError)):
            cloud.jobs.get(job_id)

        for target in (passage.target for passage in mark.passages):
            assert "/../" not in f"{target}/"
            assert "y=z" not in target.partition("?")[2].replace("%3D", "=").split("&")

    @requires("secrets.put", "secrets.description", "secrets.get")
    @pytest.mark.parametrize("kind", [kind for kind in TEXTS if kind not in {"blank", "long"}])
    def test_descriptions(self, subject: Subject, cloud: "Cloud", kind: str) -> None:
        """A description of any text is kept as it is."""
        name = subject.run.name("secret")
        cloud.secrets.put(name, {"KEY": "some-value"}, description=TEXTS[kind])

        assert cloud.secrets.get(name).description == TEXTS[kind]

    @requires("deployments.deploy", "deployments.call", "artifacts.push", "artifacts.kind.app")
    def test_call_texts(self, cloud: "Cloud", served: "Deployment") -> None:
        """A call carries any text in its body and in its query as it is."""
        kept = {kind: text for kind, text in TEXTS.items() if len(text) < 1000}
        query = "&".join(f"{kind}={quote(text)}" for kind, text in kept.items() if text.strip())
        reply = cloud.deployments.call(served, "POST", f"/echo?{query}", json=TEXTS)
        seen = reply.json()

        assert json.loads(seen["body"]) == TEXTS
        assert seen["query"] == {kind: text for kind, text in kept.items() if text.strip()}

    @requires(
        "deployments.deploy",
        "deployments.env",
        "deployments.call",
        "artifacts.push",
        "artifacts.kind.app",
    )
    def test_env_texts(self, cloud: "Cloud", new_deployment: "Callable[..., Deployment]") -> None:
        """Environment variables of any one line of text reach the app as they are."""
        env = {f"TEXT_{n}": text for n, text in enumerate(_ONE_LINE)}
        made = new_deployment(env=env)
        found = {
            name: cloud.deployments.call(made.name, "GET", f"/environment?name={name}").json()
            for name in env
        }

        assert {name: value["value"] for name, value in found.items()} == env

    @requires("jobs.submit.artifact", "jobs.input", "jobs.get", "logs.tail.job")
    def test_log_texts(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A log keeps every line of text as it was written."""
        tag = " | ".join(_ONE_LINE)
        job = submit(subject, probe, "say", input={"count": 2, "tag": tag})
        cloud.jobs.wait(job, timeout=PATIENCE_S)
        messages = [record.message for record in cloud.logs.tail(job)]

        assert [m for m in messages if m.startswith(tag)] == [f"{tag} 0", f"{tag} 1"]
