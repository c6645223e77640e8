"""Text of every kind is kept as it is, or refused before it is sent."""

from typing import TYPE_CHECKING

import pytest

from moorage.errors import InvalidRequestError

from .._connection import Recorder
from .._metadata import requires
from .._subject import PATIENCE_S, Subject
from ..outcomes import Level
from ._base import ANY_FILE, Suite, data_file, submit

if TYPE_CHECKING:
    from moorage import Artifact, Cloud

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
RESERVED = ["con", "nul", "null", "none", "true", "default", "index", "0", "api", "admin"]


class StringSuite(Suite):
    """Odd text."""

    resource = "strings"
    level = Level.EXTENDED
    creates = ("artifact", "job", "secret")

    @requires("secrets.put", "secrets.get", "secrets.reveal")
    @pytest.mark.parametrize("kind", TEXTS)
    def test_secret_values(self, subject: Subject, cloud: "Cloud", kind: str) -> None:
        """A secret's value of any text comes back as it is."""
        name = subject.run.name("secret")
        cloud.secrets.put(name, {"KEY": TEXTS[kind]})

        assert cloud.secrets.get(name, reveal=True).values["KEY"].reveal() == TEXTS[kind]

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
