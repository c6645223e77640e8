"""Listings are complete, however many pages they take."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from .._connection import Recorder
from .._metadata import requires
from .._subject import Subject
from ._base import ANY_FILE, Suite, put_secret

if TYPE_CHECKING:
    from moorage import Artifact, Cloud

_COUNT = 130


class PagingSuite(Suite):
    """Every page, once."""

    resource = "paging"
    creates = ("artifact", "secret")

    @requires("secrets.put", "secrets.list")
    def test_many_secrets(self, subject: Subject, cloud: "Cloud") -> None:
        """A listing of more than a hundred things holds each of them once, in order."""
        names = [put_secret(subject, KEY="some-value") for _ in range(_COUNT)]
        listed = [secret.name for secret in cloud.secrets.list() if secret.name in set(names)]

        assert listed == sorted(names)

    @requires("artifacts.push", "artifacts.list", ANY_FILE)
    def test_many_versions(
        self, subject: Subject, cloud: "Cloud", new_data: "Callable[..., Artifact]"
    ) -> None:
        """A listing of more than a hundred versions holds each of them once, newest first."""
        name = subject.run.name("artifact")
        versions = [new_data(str(n).encode(), name=name).version for n in range(_COUNT)]

        assert [artifact.version for artifact in cloud.artifacts.list(name)] == versions[::-1]

    @requires("artifacts.push", "artifacts.list", ANY_FILE)
    def test_moved_between_pages(
        self, subject: Subject, cloud: "Cloud", new_data: "Callable[..., Artifact]"
    ) -> None:
        """What moves to the next page while the listing is read is listed once."""
        name = subject.run.name("artifact")
        made = [new_data(str(n).encode(), name=name) for n in range(_COUNT)]
        pages = cloud.artifacts.list(name).pages()
        seen = [artifact.version for artifact in next(pages)]
        new_data(b"one more", name=name)
        seen += [artifact.version for page in pages for artifact in page]

        assert len(set(seen)) == len(seen)
        assert set(seen) >= {artifact.version for artifact in made}

    @requires("secrets.put", "secrets.list")
    def test_empty_token_ends(self, subject: Subject) -> None:
        """An empty page token is the end, as none is."""
        put_secret(subject, KEY="some-value")
        recorder = Recorder()
        recorder.change_reply(
            "secrets.list", lambda page: msgspec.structs.replace(page, next_token="")
        )
        with subject.connect(recorder=recorder) as cloud:
            list(cloud.secrets.list())

        assert recorder.calls == ["secrets.list"]

    @requires("secrets.list")
    def test_lazy(self, subject: Subject) -> None:
        """A listing asks for nothing before its first item is wanted."""
        recorder = Recorder()
        with subject.connect(recorder=recorder) as cloud:
            listing = cloud.secrets.list()
            before = list(recorder.calls)
            listing.first()

        assert before == []
        assert recorder.calls == ["secrets.list"]
