"""Bytes that travel to and from the stores behind signed URLs."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from moorage.errors import IntegrityError, InvalidRequestError, NotFoundError
from moorage.plugin import Progress
from moorage.plugin.transport import (
    Content,
    Data,
    DigestedContent,
    Downloaded,
    FileContent,
    HandleContent,
    HttpClient,
    RequestOptions,
    SignedUrl,
    StreamContent,
)

_MD5 = re.compile(r'"?([0-9a-f]{32})"?')


def put(http: HttpClient, url: SignedUrl, data: Data, *, progress: Progress | None = None) -> str:
    """Send a body to a store and compare what it has with what was sent.

    Returns:
        The digest of the body, `"sha256:<hex>"`.

    Raises:
        InvalidRequestError: The size of the body is not known.
        IntegrityError: The store says that it has something else.
    """
    content = DigestedContent(content_of(data), "sha256", "md5")
    if content.length is None:
        raise InvalidRequestError(
            "a store takes a body of known size only", hint="write it to a file first"
        )
    options: RequestOptions = {"data": content, "repeatable": content.rewindable}
    if progress is not None:
        options["progress"] = progress
    # Sending the same bytes to the same place twice leaves one object there.
    reply = http.send("PUT", url, **options)
    tag = _MD5.fullmatch(reply.headers.get("etag", "").removeprefix("W/"))
    # A store names an object that came in one piece by its MD5; other names say nothing.
    if tag is not None and tag[1] != content.digest("md5"):
        raise IntegrityError(
            "the store has something else than what was sent", hint="send it again"
        )
    return f"sha256:{content.digest('sha256')}"


def content_of(data: Data) -> Content:
    """Return a body whose bytes can be counted and digested."""
    if isinstance(data, Path):
        return FileContent(data)
    if isinstance(data, bytes | bytearray | memoryview):
        return HandleContent(io.BytesIO(bytes(data)))
    if hasattr(data, "blocks"):
        return cast("Content", data)
    if hasattr(data, "read"):
        return HandleContent(cast("BinaryIO", data))
    return StreamContent(data)


def fetched(
    http: HttpClient,
    link: Callable[[], str | None],
    destination: Path,
    *,
    what: str,
    size_bytes: int | None = None,
    digest: str | None = None,
    progress: Progress | None = None,
) -> Downloaded:
    """Download to a file from a link that is asked for anew for every connection.

    Raises:
        NotFoundError: There is no link.
        IntegrityError: What arrives is not what it must be.
    """

    def target() -> SignedUrl:
        return SignedUrl(linked(link(), what))

    return http.download(
        target, destination, size_bytes=size_bytes, digest=digest or "sha256", progress=progress
    )


def linked(uri: str | None, what: str) -> str:
    """Return a link if there is one.

    Raises:
        NotFoundError: There is none.
    """
    if not uri:
        raise NotFoundError(f"{what} has nothing to download", hint="was it ever uploaded?")
    return uri
