"""Moving archives to the cloud and back, by whichever of its three routes it asks for."""

import contextlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

from moorage.errors import (
    AlreadyExistsError,
    ConflictError,
    MoorageError,
    NotFoundError,
    Retry,
    UnavailableError,
    UnsupportedError,
)
from moorage.plugin import ArtifactKind, Progress
from moorage.plugin.transport import (
    Cancellation,
    Content,
    Part,
    RequestOptions,
    ResponseStream,
    SignedUrl,
    upload_parts,
)

from ._connection import Connection
from ._journal import Journal
from ._pack import Pack
from ._stores import AnyStored, Store, signed
from ._wire import Label
from ._wire_store import CompletePart, Model

PART_BYTES = 100 * 1024 * 1024
DONE = "success"
OWN = "moorage."
"""How the keys of labels begin that are not the user's."""

DIGEST = f"{OWN}digest"

_READ_BYTES = 1 << 20
_REASON_LENGTH = 500
_PROXY = "proxy"
_OWN_REGISTRY = "bentoml"
_LONGEST_UPLOAD = timedelta(hours=12)


class Transfers:
    """Uploads and downloads of one connection.

    Args:
        connection: The API.
        state_dir: Where unfinished uploads are written down; `None` forgets them.
        concurrency: How many parts are sent at once.
        part_bytes: Size of a part; the cloud's own client has the same.
    """

    def __init__(
        self,
        connection: Connection,
        state_dir: Path | None,
        concurrency: int,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._connection = connection
        self._state_dir = state_dir
        self._concurrency = concurrency
        self._part_bytes = part_bytes

    def push(
        self, store: Store, pack: Pack, labels: tuple[Label, ...], progress: Progress | None
    ) -> tuple[AnyStored, bool]:
        """Store a pack under its name and version.

        Returns:
            What is there then, and whether it was stored now. What was there before, or was
            stored by somebody who was faster, may be other content.

        Raises:
            ConflictError: Somebody else is uploading other content under this version.
            MoorageError: It is not there, or not whole; a further push goes on.
        """
        ensure_repository(store, pack.name)
        stored = self._created(store, pack, labels)
        if stored.upload_status == DONE:
            return stored, False
        report = _Forward(progress, pack.archive.length)
        try:
            through_api = self._send(store, pack, stored, report)
        except BaseException as exc:
            self._tell_failure(store, pack, exc)
            raise
        report.finish()
        if through_api:
            # The service says itself that it has everything.
            found = store.find(pack.name, pack.version) or stored
        else:
            found = store.finish(pack.name, pack.version, DONE, "")
        if found.upload_status == "failed":
            raise UnavailableError(
                f"the service has not taken {pack.name}:{pack.version}:"
                f" {found.upload_finished_reason or 'it gives no reason'}",
                hint="push it again",
                retry=Retry.SAFE,
            )
        return found, True

    @contextlib.contextmanager
    def reading(
        self, store: Store, name: str, version: str, progress: Progress | None
    ) -> Iterator[BinaryIO]:
        """Give the archive of a version as it arrives; where the connection breaks, reads raise.

        Raises:
            NotFoundError: It is not there.
        """
        target, parameters = self._place(store, name, version)
        with self._connection.http.stream("GET", target(), parameters) as stream:
            counted = _Counted(stream, _Forward(progress, stream.length))
            yield cast("BinaryIO", io.BufferedReader(counted, _READ_BYTES))

    def download(
        self,
        store: Store,
        name: str,
        version: str,
        destination: Path,
        *,
        progress: Progress | None,
    ) -> None:
        """Write the archive of a version to a file, across lost connections.

        Raises:
            NotFoundError: It is not there.
        """
        target, parameters = self._place(store, name, version)
        first = target()
        http, forward = self._connection.http, _Forward(progress, None)
        if isinstance(first, str):
            http.download(first, destination, parameters, progress=forward)
            return
        fresh = [first]

        def where() -> SignedUrl:
            # A URL may run out before a download is resumed.
            found = fresh.pop() if fresh else target()
            assert isinstance(found, SignedUrl)  # noqa: S101  # it was one before
            return found

        http.download(where, destination, progress=forward)

    def _place(
        self, store: Store, name: str, version: str
    ) -> tuple[Callable[[], str | SignedUrl], dict[str, str | int]]:
        """Return what makes the place to download from, and the parameters of its path."""
        stored = store.find(name, version)
        if stored is None:
            raise NotFoundError(f"no {store.noun} {name}:{version}")
        _check_is_here(stored, f"{name}:{version}")
        nouns = f"/api/v1/{store.noun}_repositories/{{repository}}/{store.noun}s"
        through_api = f"{nouns}/{{version}}/download"
        parameters: dict[str, str | int] = {"repository": name, "version": version}
        if stored.transmission_strategy != _PROXY:
            presigned, url = store.presign_download(name, version)
            if url:
                urls = [url]

                def target() -> SignedUrl:
                    known = urls.pop() if urls else store.presign_download(name, version)[1]
                    return signed(presigned, known)

                return target, {}
        return lambda: through_api, parameters

    def _created(self, store: Store, pack: Pack, labels: tuple[Label, ...]) -> AnyStored:
        """Return the version to upload to, made now or by an earlier try, or a whole one."""
        stored = store.find(pack.name, pack.version)
        if stored is None:
            try:
                return store.create(pack, labels)
            except MoorageError as exc:
                lost = exc.retry is Retry.UNKNOWN_OUTCOME
                if not (lost or isinstance(exc, AlreadyExistsError)):
                    raise
                stored = store.find(pack.name, pack.version)
                if stored is None:
                    raise
        if stored.upload_status == DONE:
            return stored
        if digest_of(stored) != pack.digest and not self._is_given_up(store, stored):
            raise ConflictError(
                f"other content is being uploaded as {pack.name}:{pack.version}",
                hint="choose another version, or leave it out",
            )
        return store.update(pack, labels, stored)

    def _is_given_up(self, store: Store, stored: AnyStored) -> bool:
        """Return whether an upload of other content may be replaced."""
        if store.kind is ArtifactKind.MODEL:
            return False  # what is said of a model cannot be changed any more
        if stored.upload_status == "failed":
            return True
        begun = stored.updated_at or stored.created_at
        age = self._connection.clock.now() - begun if begun is not None else timedelta.max
        return age > _LONGEST_UPLOAD

    def _send(self, store: Store, pack: Pack, stored: AnyStored, report: "_Forward") -> bool:
        """Send the archive; return whether it went through the API."""
        strategy = stored.transmission_strategy
        if strategy and strategy != _PROXY:
            store.start(pack.name, pack.version)
            self._send_parts(store, pack, report)
            return False
        url = "" if strategy == _PROXY else store.presign_upload(pack.name, pack.version)
        store.start(pack.name, pack.version)
        if not url:
            store.upload(pack.name, pack.version, pack.archive, report)
            return True
        self._connection.http.call(
            "PUT", signed(stored, url), data=pack.archive, repeatable=True, progress=report
        )
        return False

    def _send_parts(self, store: Store, pack: Pack, report: "_Forward") -> None:
        key = f"{self._connection.endpoint}\n{store.noun}\n{pack.name}:{pack.version}"
        journal = Journal(self._state_dir, key, pack.digest)
        resumed = bool(journal.upload_id)
        try:
            self._send_rest(store, pack, journal, report)
        except MoorageError as exc:
            if not resumed or exc.retry is not Retry.NEVER:
                raise
            # The upload that was begun then is over: the whole is sent anew.
            journal.forget()
            self._send_rest(store, pack, journal, report)

    def _send_rest(self, store: Store, pack: Pack, journal: Journal, report: "_Forward") -> None:
        if not journal.upload_id:
            upload_id = store.start_multipart(pack.name, pack.version)
            if not upload_id:
                raise UnavailableError("the service began no upload in parts: it gave no id")
            journal.begin(upload_id)
        parts = _Parts(self._connection, store, pack, journal, whole=self._state_dir is not None)
        upload_parts(
            pack.archive,
            parts,
            part_bytes=self._part_bytes,
            concurrency=self._concurrency,
            retry=self._connection.options.retry,
            progress=report,
            clock=self._connection.clock,
        )
        journal.forget()

    def _tell_failure(self, store: Store, pack: Pack, error: BaseException) -> None:
        """Say why the upload failed, so that nobody takes it for one that goes on."""
        reason = self._connection.redactor.clean(f"{type(error).__name__}: {error}")
        with contextlib.suppress(MoorageError):
            store.finish(pack.name, pack.version, "failed", reason[:_REASON_LENGTH])


class _Parts:
    """Where the parts of one archive go."""

    def __init__(
        self, connection: Connection, store: Store, pack: Pack, journal: Journal, *, whole: bool
    ) -> None:
        self._connection = connection
        self._store = store
        self._pack = pack
        self._journal = journal
        self._lock = threading.Lock()
        self._remembers = whole

    def stored(self) -> Mapping[int, Part] | None:
        return self._journal.parts if self._remembers else None

    def put(self, number: int, content: Content, cancellation: Cancellation) -> str:
        url = self._store.presign_part(
            self._pack.name, self._pack.version, self._journal.upload_id, number
        )
        options: RequestOptions = {"data": content, "cancellation": cancellation}
        # Each try gets a URL of its own, so that the try itself is made once.
        response = self._connection.http.send("PUT", url, **options)
        etag = response.headers.get("etag") or ""
        if etag:
            with self._lock:
                size = content.length or 0
                self._journal.add(Part(number=number, etag=etag, size_bytes=size))
        return etag

    def complete(self, parts: Sequence[Part]) -> None:
        wire = [CompletePart(part_number=part.number, etag=part.etag) for part in parts]
        self._store.complete(self._pack.name, self._pack.version, self._journal.upload_id, wire)

    def abort(self) -> None:
        # The API has no call for it: the storage throws unfinished uploads away by itself.
        self._journal.forget()


class _Counted(io.RawIOBase):
    """Another stream, whose bytes are counted."""

    def __init__(self, stream: ResponseStream, forward: "_Forward") -> None:
        self._stream = stream
        self._forward = forward
        self._done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        count = self._stream.readinto(buffer)
        self._done += count
        self._forward(self._done, self._stream.length)
        return count


class _Forward:
    """Progress that never goes back, although attempts begin anew."""

    def __init__(self, progress: Progress | None, total: int | None) -> None:
        self._progress = progress
        self._total = total
        self._done = -1
        self._lock = threading.Lock()

    def __call__(self, done: int, total: int | None) -> None:
        with self._lock:
            if self._progress is not None and done > self._done:
                self._done = done
                self._progress(done, self._total or total)

    def finish(self) -> None:
        if self._total is not None:
            self(self._total, self._total)


def _check_is_here(stored: AnyStored, what: str) -> None:
    """Refuse a model that the cloud only refers to."""
    manifest = stored.manifest if isinstance(stored, Model) else None
    metadata = manifest.metadata if manifest is not None else {}
    registry = metadata.get("registry", _OWN_REGISTRY)
    if registry != _OWN_REGISTRY:
        raise UnsupportedError(
            f"model {what} lies at {registry}, not in the cloud",
            capability="artifacts.pull",
            hint=f"fetch it from {metadata.get('url') or registry}",
        )


def digest_of(stored: AnyStored) -> str | None:
    """Return the digest that something was pushed with; `None` where moorage did not push it."""
    return next((label.value for label in stored.labels if label.key == DIGEST), None)


def ensure_repository(store: Store, name: str) -> None:
    """Make a repository unless it is there, whoever else makes it at the same time."""
    if store.has_repository(name):
        return
    try:
        store.create_repository(name)
    except AlreadyExistsError:
        return
    except MoorageError as exc:
        if exc.retry is not Retry.UNKNOWN_OUTCOME or not store.has_repository(name):
            raise
