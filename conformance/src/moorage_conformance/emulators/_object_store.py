"""An object store: a service of its own, on an origin of its own, reached by signed URLs."""

import hashlib
import hmac
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from moorage.plugin import Clock

from ._fault_script import FaultScript, StorageFault
from ._stored_object import Refused, StoredObject, send_object

LIFETIME_S = 3600
"""How long a signed URL is good for, unless somebody says otherwise."""

_CREDENTIALS = frozenset({"authorization", "cookie"})
_STAMP = "%Y%m%dT%H%M%SZ"


class ObjectStore:
    """What is stored, as files in a directory that goes with the emulator.

    As the stores that clouds use, it takes a signed URL and no credential beside it, wants a
    length for what is put, compares its `Content-MD5`, and gives parts of objects.

    Attributes:
        objects: What is stored, by key.
        faults: What goes wrong with the next requests.
    """

    def __init__(
        self,
        clock: Clock,
        origin: Callable[[], str],
        *,
        credentials: Collection[str] = (),
        head: bool = False,
    ) -> None:
        """Prepare it; it is open while its application runs.

        Args:
            clock: When a signature ends.
            origin: Where its URLs lead to.
            credentials: Further headers that it refuses.
            head: Whether what can be got can be asked for its head alone.
        """
        self.objects: dict[str, StoredObject] = {}
        self.faults: FaultScript[StorageFault] = FaultScript()
        self._clock = clock
        self._origin = origin
        self._credentials = _CREDENTIALS | frozenset(credentials)
        self._head = head
        self._secret = secrets.token_bytes(32)
        self._old_secrets: list[bytes] = []
        self._place: Path | None = None

    # What the API does with it --------------------------------------------------------------------

    def sign(self, method: str, key: str, *, seconds: int = LIFETIME_S, **query: str) -> str:
        """Return a URL by which one request can be made without any other credential."""
        words = {
            **query,
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": "emulator",
            "X-Amz-Date": self._clock.now().astimezone(UTC).strftime(_STAMP),
            "X-Amz-Expires": str(seconds),
            "X-Amz-SignedHeaders": "host",
        }
        words["X-Amz-Signature"] = _signature(self._secret, method, key, words)
        return f"{self._origin()}/{quote(key)}?{urlencode(words)}"

    def expire(self) -> None:
        """Let every URL that was handed out so far be too old."""
        self._old_secrets.append(self._secret)
        self._secret = secrets.token_bytes(32)

    def fail(self, *faults: StorageFault) -> None:
        """Let something fail that comes next."""
        for fault in faults:
            self.faults.add(fault)

    async def receive(self, chunks: AsyncIterator[bytes]) -> StoredObject:
        """Write content to a file as it arrives; it has no key yet."""
        path, digest, size = self._new_file(), hashlib.md5(usedforsecurity=False), 0
        try:
            with path.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    digest.update(chunk)
                    file.write(chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return StoredObject(path, size, digest.hexdigest())

    def keep(self, key: str, received: StoredObject) -> None:
        """Let a key stand for what was received, which replaces what it stood for."""
        self.delete(key)
        self.objects[key] = received

    def put(self, key: str, content: bytes) -> StoredObject:
        """Store a small object that is at hand."""
        path = self._new_file()
        path.write_bytes(content)
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        self.keep(key, StoredObject(path, len(content), digest))
        return self.objects[key]

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is gone already."""
        before = self.objects.pop(key, None)
        if before is not None:
            before.path.unlink(missing_ok=True)

    # What a cloud changes of it -------------------------------------------------------------------

    def accept(
        self,
        key: str,
        received: StoredObject,
        query: Mapping[str, str],  # noqa: ARG002  # other stores sign more than the key
    ) -> None:
        """Do what a signed URL was made for with what it brought.

        Args:
            key: What the URL was signed for.
            received: The content, which is thrown away where it is refused.
            query: Of the URL.

        Raises:
            Refused: It is not what was expected.
        """
        self.keep(key, received)

    # Its own origin -------------------------------------------------------------------------------

    def application(self) -> web.Application:
        """Return the service that signed URLs lead to."""
        application = web.Application(middlewares=[_answer_refusals])
        application.router.add_put("/{key:.+}", self._on_put)
        application.router.add_get("/{key:.+}", self._on_get)
        application.on_startup.append(self._open)
        application.on_cleanup.append(self._close)
        return application

    async def _on_put(self, request: web.Request) -> web.Response:
        key = self._checked(request)
        if request.content_length is None:
            raise Refused(411, "MissingContentLength", "the header Content-Length is missing")
        received = await self.receive(_content(request, self._fault(request)))
        try:
            _check_digest(request, received)
            self.accept(key, received, request.query)
        except Refused:
            received.path.unlink()
            raise
        return web.Response(headers={"ETag": received.etag})

    async def _on_get(self, request: web.Request) -> web.StreamResponse:
        key = self._checked(request)
        fault = self._fault(request)
        found = self.objects.get(key)
        if found is None:
            raise Refused(404, "NoSuchKey", "the key does not exist")
        return await send_object(request, found, None if fault is None else fault.after_bytes)

    def _checked(self, request: web.Request) -> str:
        """Return the key of a request that may be made."""
        for name in self._credentials:
            if name in request.headers:  # one way to authenticate is enough, and allowed
                raise Refused(400, "InvalidArgument", f"a signed URL needs no header {name}")
        key = request.match_info["key"]
        words = dict(request.query)
        signature = words.pop("X-Amz-Signature", "")
        method = "GET" if self._head and request.method == "HEAD" else request.method
        if not _is_signed(signature, self._secret, method, key, words):
            if any(_is_signed(signature, old, method, key, words) for old in self._old_secrets):
                raise Refused(403, "AccessDenied", "Request has expired")
            raise Refused(403, "SignatureDoesNotMatch", "the signature is not that of the request")
        begun = datetime.strptime(words["X-Amz-Date"], _STAMP).replace(tzinfo=UTC)
        if self._clock.now() > begun + timedelta(seconds=int(words["X-Amz-Expires"])):
            raise Refused(403, "AccessDenied", "Request has expired")
        return key

    def _fault(self, request: web.Request) -> StorageFault | None:
        """Return the fault that is the connection's; answer by those that are the service's."""
        part = int(request.query.get("partNumber", 0))
        fault = self.faults.take(
            lambda each: each.method == request.method and each.part in {None, part}
        )
        if fault is not None and fault.status is not None:
            raise Refused(fault.status, "ServiceUnavailable", "please reduce your request rate")
        return fault

    def _new_file(self) -> Path:
        if self._place is None:
            msg = "the store is closed"
            raise RuntimeError(msg)
        return self._place / secrets.token_hex(16)

    async def _open(self, _application: web.Application) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="moorage-emulator-store-"))

    async def _close(self, _application: web.Application) -> None:
        place, self._place = self._place, None
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)


def _signature(secret: bytes, method: str, key: str, words: Mapping[str, str]) -> str:
    text = "\n".join([method, key, *(f"{name}={words[name]}" for name in sorted(words))])
    return hmac.new(secret, text.encode(), "sha256").hexdigest()


def _is_signed(
    signature: str, secret: bytes, method: str, key: str, words: Mapping[str, str]
) -> bool:
    expected = _signature(secret, method, key, words)
    return hmac.compare_digest(signature.encode(), expected.encode())


async def _content(request: web.Request, fault: StorageFault | None) -> AsyncIterator[bytes]:
    """Yield what a request brings; where a fault wants that, the connection breaks meanwhile."""
    if fault is None:
        async for chunk in request.content.iter_any():
            yield chunk
        return
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size >= fault.after_bytes:
            break
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError


def _check_digest(request: web.Request, received: StoredObject) -> None:
    sent = request.headers.get("Content-MD5")
    if sent is not None and bytes.fromhex(received.digest) != _base64(sent):
        raise Refused(400, "BadDigest", "the Content-MD5 is not that of the content")


def _base64(text: str) -> bytes:
    try:
        return msgspec.convert(text, bytes)
    except msgspec.ValidationError:
        return b""


@web.middleware
async def _answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return refused.response()
    except ConnectionResetError:
        return web.Response()  # which nobody gets: a fault, or the client, broke the connection
