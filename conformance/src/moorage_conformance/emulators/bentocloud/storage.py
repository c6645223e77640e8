"""The object store: a service of its own, on an origin of its own, reached by signed URLs."""

import asyncio
import hashlib
import hmac
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from moorage.plugin import Clock

from .behaviour import Behaviour
from .errors import ApiError
from .faults import Script, StorageFault
from .requests import CompleteUpload
from .storage_reply import Refused, send_object

LIFETIME_S = 3600
"""How long a signed URL is good for."""

_CREDENTIALS = ("x-yatai-api-token", "authorization", "cookie")
_STAMP = "%Y%m%dT%H%M%SZ"


class StoredObject(msgspec.Struct, frozen=True):
    """The content under a key, or of one part."""

    path: Path
    size: int
    etag: str
    """With its quotes."""


class Storage:
    """What is stored, as files in a directory that goes with the emulator."""

    def __init__(self, clock: Clock, behaviour: Behaviour, origin: Callable[[], str]) -> None:
        self.faults: Script[StorageFault] = Script()
        self.objects: dict[str, StoredObject] = {}
        self._uploads: dict[str, _Upload] = {}
        self._clock = clock
        self._behaviour = behaviour
        self._origin = origin
        self._secret = secrets.token_bytes(32)
        self._place: Path | None = None

    # What the API does with it --------------------------------------------------------------------

    def sign(self, method: str, key: str, **query: str) -> str:
        """Return a URL by which one request can be made without any other credential."""
        words = {
            **query,
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": "emulator",
            "X-Amz-Date": self._clock.now().strftime(_STAMP),
            "X-Amz-Expires": str(LIFETIME_S),
            "X-Amz-SignedHeaders": "host",
        }
        words["X-Amz-Signature"] = self._signature(method, key, words)
        origin = self._behaviour.storage_url or self._origin()
        return f"{origin}/{quote(key)}?{urlencode(words)}"

    def start(self, key: str) -> str:
        """Begin an upload in several parts and return its id."""
        upload_id = secrets.token_hex(16)
        self._uploads[upload_id] = _Upload(key)
        return upload_id

    def check_upload(self, upload_id: str, key: str) -> None:
        """Refuse an upload that was not begun, or is of something else.

        Raises:
            ApiError: There is no such upload.
        """
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            msg = f"NoSuchUpload: the upload {upload_id!r} does not exist"
            raise ApiError(msg)

    async def complete(self, key: str, wanted: CompleteUpload) -> StoredObject:
        """Make an object of the parts of an upload.

        Raises:
            ApiError: A part is missing, another than was stored, too small, or out of order.
        """
        self.check_upload(wanted.upload_id, key)
        upload = self._uploads[wanted.upload_id]
        numbers = [part.part_number for part in wanted.parts]
        if not numbers:
            raise ApiError("MalformedXML: an upload has at least one part")
        if numbers != sorted(set(numbers)):
            raise ApiError("InvalidPartOrder: the parts must be in ascending order")
        parts = []
        for part in wanted.parts:
            stored = upload.parts.get(part.part_number)
            if stored is None or stored.etag != part.etag:
                msg = f"InvalidPart: part {part.part_number} with the ETag {part.etag} is not there"
                raise ApiError(msg)
            parts.append(stored)
        if any(part.size < self._behaviour.minimum_part_bytes for part in parts[:-1]):
            raise ApiError("EntityTooSmall: a part but the last is smaller than allowed")
        path = self._new_file()
        await asyncio.to_thread(_join, [part.path for part in parts], path)
        joined = hashlib.md5(
            b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts), usedforsecurity=False
        )
        for each in self._uploads.pop(wanted.upload_id).parts.values():
            each.path.unlink(missing_ok=True)
        made = StoredObject(
            path, sum(part.size for part in parts), f'"{joined.hexdigest()}-{len(parts)}"'
        )
        self._put(key, made)
        return made

    async def receive(self, request: web.Request, key: str) -> StoredObject:
        """Store what a request carries under a key."""
        made = await self._receive(request, None)
        self._put(key, made)
        return made

    @property
    def unfinished(self) -> Mapping[str, Sequence[int]]:
        """The parts of the uploads that were begun and not completed, by the id of the upload."""
        return {upload: tuple(sorted(each.parts)) for upload, each in self._uploads.items()}

    # Its own origin -------------------------------------------------------------------------------

    def application(self) -> web.Application:
        """Return the service that signed URLs lead to."""
        application = web.Application(middlewares=[_answer_errors])
        application.router.add_put("/{key:.+}", self._on_put)
        application.router.add_get("/{key:.+}", self._on_get, allow_head=False)
        application.on_startup.append(self._open)
        application.on_cleanup.append(self._close)
        return application

    async def _on_put(self, request: web.Request) -> web.Response:
        key = self._checked(request)
        if request.content_length is None:
            raise Refused(411, "MissingContentLength", "the header Content-Length is missing")
        part = int(request.query["partNumber"]) if "partNumber" in request.query else None
        fault = self._fault(request, part)
        made = await self._receive(request, fault)
        sent = request.headers.get("Content-MD5")
        if sent is not None and bytes.fromhex(made.etag.strip('"')) != _base64(sent):
            made.path.unlink()
            raise Refused(400, "BadDigest", "the Content-MD5 is not that of the content")
        if part is None:
            self._put(key, made)
        else:
            upload = self._uploads.get(request.query["uploadId"])
            if upload is None or upload.key != key:
                made.path.unlink()
                raise Refused(404, "NoSuchUpload", "the upload does not exist")
            before = upload.parts.get(part)
            upload.parts[part] = made
            if before is not None:
                before.path.unlink()
        return web.Response(headers={"ETag": made.etag})

    async def _on_get(self, request: web.Request) -> web.StreamResponse:
        key = self._checked(request)
        fault = self._fault(request, None)
        found = self.objects.get(key)
        if found is None:
            raise Refused(404, "NoSuchKey", "the key does not exist")
        cut = None if fault is None else fault.after_bytes
        return await send_object(request, found.path, found.size, found.etag, cut)

    def _checked(self, request: web.Request) -> str:
        """Return the key of a request that may be made."""
        for name in _CREDENTIALS:
            if name in request.headers:  # one way to authenticate is enough, and allowed
                raise Refused(400, "InvalidArgument", f"a signed URL needs no header {name}")
        key = request.match_info["key"]
        words = dict(request.query)
        signature = words.pop("X-Amz-Signature", "")
        if not hmac.compare_digest(signature, self._signature(request.method, key, words)):
            raise Refused(403, "SignatureDoesNotMatch", "the signature is not that of the request")
        begun = datetime.strptime(words["X-Amz-Date"], _STAMP).replace(tzinfo=UTC)
        if self._clock.now() > begun + timedelta(seconds=LIFETIME_S):
            raise Refused(403, "AccessDenied", "Request has expired")
        return key

    def _fault(self, request: web.Request, part: int | None) -> StorageFault | None:
        """Return the fault that is the connection's; answer by those that are the service's."""
        fault = self.faults.take(
            lambda each: each.method == request.method and each.part in {None, part}
        )
        if fault is not None and fault.status is not None:
            raise Refused(fault.status, "ServiceUnavailable", "please reduce your request rate")
        return fault

    async def _receive(self, request: web.Request, fault: StorageFault | None) -> StoredObject:
        path, digest, size = self._new_file(), hashlib.md5(usedforsecurity=False), 0
        try:
            with path.open("wb") as file:
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    if fault is not None and size >= fault.after_bytes:
                        break
                    digest.update(chunk)
                    file.write(chunk)
            if fault is not None:
                _break(request)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return StoredObject(path, size, f'"{digest.hexdigest()}"')

    def _put(self, key: str, made: StoredObject) -> None:
        before = self.objects.get(key)
        self.objects[key] = made
        if before is not None:
            before.path.unlink(missing_ok=True)

    def _signature(self, method: str, key: str, words: Mapping[str, str]) -> str:
        text = "\n".join([method, key, *(f"{name}={words[name]}" for name in sorted(words))])
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()

    def _new_file(self) -> Path:
        if self._place is None:
            msg = "the store is closed"
            raise RuntimeError(msg)
        return self._place / secrets.token_hex(16)

    async def _open(self, _application: web.Application) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="moorage-bentocloud-"))

    async def _close(self, _application: web.Application) -> None:
        place, self._place = self._place, None
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)


class _Upload:
    """An upload in several parts."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.parts: dict[int, StoredObject] = {}


def _break(request: web.Request) -> NoReturn:
    """Break a connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError


def _base64(text: str) -> bytes:
    try:
        return msgspec.convert(text, bytes)
    except msgspec.ValidationError:
        return b""


def _join(parts: Sequence[Path], path: Path) -> None:
    with path.open("wb") as whole:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole, 1 << 20)


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return refused.response()
