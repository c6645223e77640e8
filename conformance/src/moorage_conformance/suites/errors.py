"""What goes wrong on the way ends in the error that is promised for it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from moorage._config._schema import setting_fields  # which settings a provider has
from moorage.errors import (
    AuthenticationError,
    ConflictError,
    DecodeError,
    IntegrityError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    Origin,
    PermissionDeniedError,
    QuotaError,
    RateLimitedError,
    Retry,
    TimedOutError,
    UnavailableError,
)

from .._metadata import extended, requires
from .._subject import Subject
from .._wire import READS
from ..faults import Answer, Corrupt, Cut, Fault, Replace, Reset, Stall, Truncate
from ._base import ANY_FILE, Suite, UnsupportedHereError, data_file, look

if TYPE_CHECKING:
    from moorage import Artifact, Cloud

    from .._wire import Mark, Wire

WRITES = "POST|PUT|PATCH|DELETE"
_ATTEMPTS = 3
_HTML = "<!doctype html><title>Sign in</title>"

# What a server says that will say the same again.
REFUSALS: Mapping[str, tuple[int, tuple[type[MoorageError], ...]]] = {
    "invalid": (400, (InvalidRequestError,)),
    "unauthenticated": (401, (AuthenticationError,)),
    "forbidden": (403, (PermissionDeniedError, AuthenticationError)),
    "unprocessable": (422, (InvalidRequestError,)),
}

# What happens to a read again and again, and may be over a moment later.
TROUBLES: Mapping[str, tuple[Fault, type[MoorageError], Origin]] = {
    "too many requests": (
        Answer(status=429, retry_after=0, times=None),
        RateLimitedError,
        Origin.PROVIDER,
    ),
    "server error": (Answer(status=500, times=None), UnavailableError, Origin.PROVIDER),
    "bad gateway": (
        Answer(status=502, body=_HTML, content_type="text/html", times=None),
        UnavailableError,
        Origin.PROVIDER,
    ),
    "unavailable": (
        Answer(status=503, retry_after=0, times=None),
        UnavailableError,
        Origin.PROVIDER,
    ),
    "gateway timeout": (Answer(status=504, times=None), UnavailableError, Origin.PROVIDER),
    "connection reset": (Reset(times=None), UnavailableError, Origin.NETWORK),
    "connection closed": (Reset(end="close", times=None), UnavailableError, Origin.NETWORK),
    "reply lost": (Reset(when="reply", times=None), UnavailableError, Origin.NETWORK),
    "head cut": (Cut(after_bytes=20, times=None), UnavailableError, Origin.NETWORK),
    "body cut": (Cut(after_bytes=1, part="body", times=None), UnavailableError, Origin.NETWORK),
}

# What arrives whole and is not what was asked for.
NONSENSE: Mapping[str, Fault] = {
    "a page": Replace(times=None),
    "half a document": Truncate(after_bytes=1, times=None),
    "damaged": Corrupt(times=None),
    "another document": Replace(body='["what?"]', content_type="application/json", times=None),
}


def _patient(subject: Subject, **wanted: Any) -> Mapping[str, Any]:
    """Return those of some settings that the provider has."""
    known = setting_fields(subject.info)
    return {key: value for key, value in wanted.items() if key in known}


def _write(cloud: "Cloud", subject: Subject) -> Callable[[], object]:
    """Return a call that creates something, of what is made with the fewest requests."""
    if cloud.supports("secrets.put"):
        name = subject.run.name("secret")
        return lambda: cloud.secrets.put(name, {"KEY": "some-value"})
    if cloud.supports("artifacts.push") and any(map(cloud.supports, ANY_FILE.split("|"))):
        name, path = subject.run.name("artifact"), data_file(subject)
        return lambda: cloud.artifacts.push(path, name=name, kind=subject.kind)
    raise UnsupportedHereError("the provider stores nothing")


def _told(error: MoorageError) -> str:
    return f"{type(error).__name__} {error.retry} {error.origin}: {error.message}"


class ErrorSuite(Suite):
    """Faults on the wire, each with its class, its `retry`, its `origin` and its requests."""

    resource = "errors"
    creates = ("artifact", "secret")

    @pytest.mark.parametrize("kind", REFUSALS)
    def test_refused_read(self, subject: Subject, wire: "Wire", kind: str) -> None:
        """A read that the server refuses is asked for once, and raises the error of its status."""
        status, classes = REFUSALS[kind]
        with subject.connect() as cloud, wire.broken(Answer(status=status, times=None)):
            mark = wire.mark()
            with pytest.raises(classes) as caught:
                look(cloud)

        assert caught.value.retry is Retry.NEVER, _told(caught.value)
        assert caught.value.origin is Origin.CALLER, _told(caught.value)
        assert caught.value.status == status
        assert caught.value.provider == subject.provider
        # A client may renew its credentials once before it believes that they are wrong.
        assert mark.requests <= (2 if status == 401 else 1)

    @pytest.mark.parametrize("kind", REFUSALS)
    def test_refused_write(self, subject: Subject, wire: "Wire", kind: str) -> None:
        """A write that the server refuses is sent once, and raises the error of its status."""
        status, classes = REFUSALS[kind]
        with subject.connect() as cloud:
            write = _write(cloud, subject)
            with wire.broken(Answer(status=status, method=WRITES, times=None)):
                mark = wire.mark()
                with pytest.raises(classes) as caught:
                    write()

        assert caught.value.retry is Retry.NEVER, _told(caught.value)
        assert caught.value.origin is Origin.CALLER, _told(caught.value)
        assert len(mark.writes) <= (2 if status == 401 else 1)

    def test_rate_limited_write(self, subject: Subject, wire: "Wire") -> None:
        """A write that came too often raises `RateLimitedError` with the wait that was asked."""
        with subject.connect() as cloud:
            write = _write(cloud, subject)
            with wire.broken(Answer(status=429, retry_after=300, method=WRITES, times=None)):
                mark = wire.mark()
                with pytest.raises(RateLimitedError) as caught:
                    write()

        assert caught.value.retry in {Retry.SAFE, Retry.EXHAUSTED}, _told(caught.value)
        assert caught.value.retry_after_s == 300
        assert len(mark.writes) == 1

    @pytest.mark.parametrize("status", [402, 507])
    def test_quota(self, subject: Subject, wire: "Wire", status: int) -> None:
        """An account that is full raises `QuotaError`, and the write is not repeated."""
        with subject.connect() as cloud:
            write = _write(cloud, subject)
            with wire.broken(Answer(status=status, method=WRITES, times=None)):
                mark = wire.mark()
                with pytest.raises(QuotaError) as caught:
                    write()

        assert caught.value.retry is Retry.NEVER, _told(caught.value)
        assert len(mark.writes) == 1

    @pytest.mark.parametrize("kind", TROUBLES)
    def test_troubled_read(self, subject: Subject, wire: "Wire", kind: str) -> None:
        """A read in lasting trouble is repeated as often as the limits allow, and says so then."""
        fault, error, origin = TROUBLES[kind]
        settings = _patient(subject, attempts=_ATTEMPTS)
        with subject.connect(settings=settings) as cloud, wire.broken(fault):
            mark = wire.mark()
            with pytest.raises(error) as caught:
                look(cloud)

        assert caught.value.retry in {Retry.EXHAUSTED, Retry.SAFE}, _told(caught.value)
        assert caught.value.origin is origin, _told(caught.value)
        if settings:
            assert mark.requests == _ATTEMPTS
            assert caught.value.retry is Retry.EXHAUSTED, _told(caught.value)
        else:
            assert 2 <= mark.requests <= 20

    @pytest.mark.parametrize("kind", TROUBLES)
    def test_troubled_once(self, subject: Subject, wire: "Wire", kind: str) -> None:
        """A read that fails once is repeated once, and its caller notices nothing."""
        fault = _once(TROUBLES[kind][0])
        with subject.connect() as cloud:
            quiet = wire.mark()
            with wire.broken():
                look(cloud)
            needed = quiet.requests
            with wire.broken(fault):
                mark = wire.mark()
                look(cloud)

        assert mark.requests == needed + 1

    @pytest.mark.parametrize("kind", ["server error", "unavailable", "connection reset"])
    def test_troubled_write(self, subject: Subject, wire: "Wire", kind: str) -> None:
        """A write in lasting trouble is not repeated blindly, and says whether it can be."""
        fault, _, origin = TROUBLES[kind]
        with subject.connect(settings=_patient(subject, attempts=_ATTEMPTS)) as cloud:
            write = _write(cloud, subject)
            with wire.broken(_for(fault, WRITES)):
                mark = wire.mark()
                with pytest.raises(UnavailableError) as caught:
                    write()
                sent = [passage.method for passage in mark.writes]
            write()  # nothing was done, so that it can be done now

        assert caught.value.retry is not Retry.NEVER, _told(caught.value)
        assert caught.value.origin is origin, _told(caught.value)
        # What means the same twice may be sent twice; a POST does not, whatever it is about.
        assert sent.count("POST") <= 1
        assert sent.count("PATCH") <= 1
        assert len(sent) <= _ATTEMPTS

    @pytest.mark.parametrize("kind", NONSENSE)
    def test_nonsense(self, subject: Subject, wire: "Wire", kind: str) -> None:
        """A reply that cannot be understood raises `DecodeError` and is not asked for again."""
        with subject.connect() as cloud, wire.broken(NONSENSE[kind]):
            mark = wire.mark()
            with pytest.raises(DecodeError) as caught:
                look(cloud)

        assert caught.value.retry is Retry.NEVER, _told(caught.value)
        assert caught.value.origin is Origin.PROVIDER, _told(caught.value)
        assert mark.requests == 1

    def test_silence(self, subject: Subject, wire: "Wire") -> None:
        """A server that falls silent raises `TimedOutError` after the profile's `read_timeout`."""
        settings = _patient(subject, read_timeout=0.2, attempts=2)
        if "read_timeout" not in settings:
            raise UnsupportedHereError("the provider has no setting `read_timeout`")
        with subject.connect(settings=settings) as cloud, wire.broken(Stall(times=None)):
            mark = wire.mark()
            with pytest.raises(TimedOutError) as caught:
                look(cloud)

        assert caught.value.retry in {Retry.EXHAUSTED, Retry.SAFE}, _told(caught.value)
        assert caught.value.origin is Origin.NETWORK, _told(caught.value)
        assert mark.requests <= 2

    def test_long_wait_asked(self, subject: Subject, wire: "Wire") -> None:
        """A server that asks for a long wait is not waited for: the caller is told how long."""
        fault = Answer(status=429, retry_after=100_000, times=None)
        with subject.connect() as cloud, wire.broken(fault):
            mark = wire.mark()
            with pytest.raises(RateLimitedError) as caught:
                look(cloud)

        assert caught.value.retry_after_s == 100_000
        assert mark.requests == 1

    def test_after_trouble(self, subject: Subject, wire: "Wire") -> None:
        """A connection works again as soon as the server does, also after its sockets broke."""
        with subject.connect(settings=_patient(subject, attempts=1)) as cloud:
            for fault in (Reset(), Cut(after_bytes=30), Truncate(after_bytes=1), Replace()):
                with wire.broken(fault), pytest.raises(MoorageError):
                    look(cloud)
                with wire.broken():
                    look(cloud)
            with wire.broken():
                wire.cut_off()  # a server that was started again keeps no connection
                look(cloud)

    def test_errors_name_the_call(self, subject: Subject, wire: "Wire") -> None:
        """An error names provider, call and status, says what to do, and tells no HTML."""
        fault = Answer(status=400, body=_HTML, content_type="text/html", times=None)
        with subject.connect() as cloud, wire.broken(fault), pytest.raises(MoorageError) as caught:
            look(cloud)
        error = caught.value

        assert error.provider == subject.provider
        assert error.operation is not None
        assert error.operation.endswith(".list")
        assert error.status == 400
        assert "<" not in error.message
        assert len(error.message) < 1000
        assert error.code == "invalid_request"

    @extended
    @requires("artifacts.push", "artifacts.list", "artifacts.open", ANY_FILE)
    @pytest.mark.parametrize("after_bytes", [0, 1, 70_000])
    def test_upload_cut(self, subject: Subject, wire: "Wire", after_bytes: int) -> None:
        """An upload that is cut leaves nothing half stored, and can be made again."""
        content = bytes(range(256)) * 1000
        name, path = subject.run.name("artifact"), data_file(subject, content)
        fault = Cut(
            method=WRITES, direction="request", part="body", after_bytes=after_bytes, times=None
        )
        with subject.connect() as cloud:
            with wire.broken(fault):
                try:
                    cloud.artifacts.push(path, name=name, kind=subject.kind)
                except MoorageError as exc:
                    assert exc.retry is not Retry.NEVER, _told(exc)  # noqa: PT017  # both are fine
            stored = _whole(cloud, name)
            pushed = cloud.artifacts.push(path, name=name, kind=subject.kind)
            with cloud.artifacts.open(pushed) as stream:
                back = stream.read()

        assert all(found == content for found in stored)
        assert back == content
        assert len(_whole(subject.cloud, name)) == 1

    @extended
    @requires("artifacts.push", "artifacts.pull", ANY_FILE)
    @pytest.mark.parametrize("after_bytes", [0, 1, 70_000, 255_999])
    def test_download_cut(
        self,
        subject: Subject,
        wire: "Wire",
        new_data: "Callable[..., Artifact]",
        after_bytes: int,
    ) -> None:
        """A download that is cut is completed or leaves nothing, and never half of it."""
        content = bytes(range(256)) * 1000
        pushed = new_data(content)
        target = data_file(subject).with_name("back")
        with subject.connect() as cloud:
            with wire.broken(_big_replies(after_bytes)):
                try:
                    cloud.artifacts.pull(pushed, target)
                except (UnavailableError, IntegrityError, TimedOutError):
                    left = target.exists()
                else:
                    left = target.read_bytes() != content
            if not target.exists():
                cloud.artifacts.pull(pushed, target)

        assert not left
        assert target.read_bytes() == content

    @extended
    @requires("artifacts.push", "artifacts.pull", ANY_FILE)
    def test_download_damaged(
        self, subject: Subject, wire: "Wire", new_data: "Callable[..., Artifact]"
    ) -> None:
        """A download whose bytes changed on the way raises, and leaves nothing of them."""
        content = bytes(range(256)) * 1000
        pushed = new_data(content)
        target = data_file(subject).with_name("back")
        with subject.connect() as cloud, wire.broken(_damage(len(content) // 2)):
            try:
                cloud.artifacts.pull(pushed, target)
            except (IntegrityError, UnavailableError):
                left = target.exists()
            else:  # it came by a way that is not the wire
                left = target.read_bytes() != content

        assert not left

    @extended
    @requires("artifacts.get")
    def test_not_found_is_no_trouble(self, subject: Subject, wire: "Wire") -> None:
        """What does not exist is asked for once: an answer is no trouble."""
        with subject.connect() as cloud, wire.broken():
            mark = wire.mark()
            with pytest.raises(NotFoundError):
                cloud.artifacts.get(subject.missing("artifact"))

        assert _repeated(mark) == []

    @extended
    def test_conflict(self, subject: Subject, wire: "Wire") -> None:
        """A write that meets a conflict is sent once, and is a conflict."""
        with subject.connect() as cloud:
            write = _write(cloud, subject)
            with wire.broken(Answer(status=412, method=WRITES, times=None)):
                mark = wire.mark()
                with pytest.raises(ConflictError) as caught:
                    write()

        assert caught.value.retry is Retry.NEVER, _told(caught.value)
        assert len(mark.writes) == 1


def _once(fault: Fault) -> Fault:
    import msgspec

    return msgspec.structs.replace(fault, times=1)


def _for(fault: Fault, method: str) -> Fault:
    import msgspec

    return msgspec.structs.replace(fault, method=method)


def _big_replies(after_bytes: int) -> Cut:
    """Cut the first replies, of which one or the other holds the content."""
    return Cut(method="GET", part="body", after_bytes=after_bytes, times=3)


def _damage(offset: int) -> Corrupt:
    """Change some bytes of every reply that is long enough to be the content."""
    return Corrupt(method="GET", offset=offset, count=8, times=None)


def _whole(cloud: "Cloud", name: str) -> Sequence[bytes]:
    """Return the content of every version that is there and says that it is whole."""
    found = []
    for artifact in cloud.artifacts.list(name):
        if artifact.state == "ready":
            with cloud.artifacts.open(artifact) as stream:
                found.append(stream.read())
    return found


def _repeated(mark: "Mark") -> list[str]:
    reads = [p.target for p in mark.passages if p.method in READS]
    return [target for target in dict.fromkeys(reads) if reads.count(target) > 1]
