"""Moving content of any size with flat memory, and going on where a transfer was cut."""

import base64
import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from moorage.errors import (
    MoorageError,
    NotFoundError,
    PermissionDeniedError,
    TimedOutError,
    UnavailableError,
    UnsupportedError,
)

from ._client import Client
from ._errors import CUT, translated
from ._pack import Pieces
from ._stream import CHUNK_BYTES

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 8 << 20
"""Length of a part; what is no longer is sent as a whole."""

_MOST_PARTS = 10_000  # the protocol's own limit
_AT_ONCE = 3

Advance = Callable[[int], None]
"""Called with the number of bytes that have been moved since the last call."""


class Unfinished(NamedTuple):
    """An upload in parts that has not come to its end."""

    key: str
    upload_id: str


def upload(
    client: Client, key: str, chunks: Iterator[bytes], content_bytes: int, advance: Advance
) -> str:
    """Store content and return the key that it has.

    The upload of the same content to the same place that was cut before is gone on with, under
    its own key. One that the connection cuts now is left, to be gone on with later.

    Args:
        client: The bucket.
        key: Where to; the part before the last `-` is the same for the same content.
        chunks: The content.
        content_bytes: Its length.
        advance: Told about every part.
    """
    if content_bytes <= PART_BYTES:
        (whole,) = Pieces(chunks, PART_BYTES)
        client.ask(
            f"write {client.where}{key}",
            lambda s3: s3.put_object(**client.place(key), Body=whole, ContentMD5=_checksum(whole)),
        )
        advance(len(whole))
        return key
    found = unfinished(client, key.rpartition("-")[0] + "-")
    if found is None:
        # Not repeatable: a second one would begin another upload, and the first be left.
        begun = client.ask(
            f"write {client.where}{key}",
            lambda s3: s3.create_multipart_upload(**client.place(key)),
            repeatable=False,
        )
        found = Unfinished(key, begun["UploadId"])
    try:
        _fill(client, found, chunks, max(PART_BYTES, -(-content_bytes // _MOST_PARTS)), advance)
    except (UnavailableError, TimedOutError):
        raise  # what has arrived is kept for the next attempt
    except BaseException:
        discard(client, found)
        raise
    return found.key


def _fill(
    client: Client, into: Unfinished, chunks: Iterator[bytes], part_bytes: int, advance: Advance
) -> None:
    place = {**client.place(into.key), "UploadId": into.upload_id}
    there = _parts(client, place)
    parts: list[CompletedPartTypeDef] = []
    going: deque[tuple[int, int, Future[str]]] = deque()

    def send(number: int, piece: bytes) -> str:
        reply = client.ask(
            f"write part {number} of {client.where}{into.key}",
            lambda s3: s3.upload_part(
                **place, PartNumber=number, Body=piece, ContentMD5=_checksum(piece)
            ),
        )
        return reply["ETag"]

    def settle() -> None:
        number, length, sent = going.popleft()
        parts.append({"PartNumber": number, "ETag": sent.result()})
        advance(length)

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="moorage-s3") as pool:
        try:
            for number, piece in enumerate(Pieces(chunks, part_bytes), 1):
                tag = there.get(number)
                if tag == f'"{_md5(piece).hex()}"':
                    done: Future[str] = Future()
                    done.set_result(tag)
                    going.append((number, len(piece), done))
                else:
                    going.append((number, len(piece), pool.submit(send, number, piece)))
                if len(going) >= _AT_ONCE:
                    settle()
            while going:
                settle()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise

    def complete(s3: "S3Client") -> None:
        try:
            s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
        except s3.exceptions.NoSuchUpload:
            # Its reply was lost, or another process went on with the same upload and was faster.
            s3.head_object(**client.place(into.key))

    client.ask(f"write {client.where}{into.key}", complete)


def unfinished(client: Client, prefix: str) -> Unfinished | None:
    """Return an upload that was cut, if the server tells.

    Some servers list uploads by their whole key only; there an upload begins anew.
    """
    whole = client.place(prefix)
    try:
        reply = client.ask(
            f"look for uploads to {client.where}{prefix}",
            lambda s3: s3.list_multipart_uploads(Bucket=whole["Bucket"], Prefix=whole["Key"]),
        )
    except (PermissionDeniedError, UnsupportedError):
        return None  # listing uploads is a right of its own, which pushing can do without
    for upload_ in reply.get("Uploads", ()):
        if upload_["Key"].startswith(whole["Key"]):
            key = prefix + upload_["Key"].removeprefix(whole["Key"])
            return Unfinished(key, upload_["UploadId"])
    return None


def discard(client: Client, unfinished_: Unfinished) -> None:
    """Give an upload up, with what has arrived; that it is gone already is no error."""
    place = {**client.place(unfinished_.key), "UploadId": unfinished_.upload_id}
    try:
        with translated(f"give up the upload to {client.where}{unfinished_.key}"):
            client.boto3.abort_multipart_upload(**place)
    except MoorageError:
        pass  # what was wrong before is what the caller has to hear about


def _parts(client: Client, place: Mapping[str, Any]) -> dict[int, str]:
    found: dict[int, str] = {}
    marker = 0
    while True:
        page: Mapping[str, Any] = client.ask(
            f"look for parts of s3://{place['Bucket']}/{place['Key']}",
            partial(_list_parts, place=place, marker=marker),
        )
        found.update({part["PartNumber"]: part["ETag"] for part in page.get("Parts", ())})
        if not page.get("IsTruncated"):
            return found
        marker = int(page["NextPartNumberMarker"])


def download(client: Client, key: str, content_bytes: int) -> Iterator[bytes]:
    """Yield content as it arrives; a reply that is cut is gone on with where it was.

    Raises:
        NotFoundError: There is none.
        UnavailableError: It was cut again and again without any progress.
    """
    done, failures = 0, 0
    while done < content_bytes:
        before = done
        rest = f"bytes={done}-{content_bytes - 1}"
        body = client.ask(
            f"read {client.where}{key}",
            partial(_begin, place=client.place(key), rest=rest),
        )
        with translated(f"read {client.where}{key}"):
            try:
                for chunk in body.iter_chunks(CHUNK_BYTES):
                    done += len(chunk)
                    yield chunk
            except CUT:
                failures = 1 if done > before else failures + 1
                if failures >= client.repeater.policy.attempts:
                    raise
            else:
                if done == before:
                    raise NotFoundError(f"{client.where}{key} ends after {done} bytes")
            finally:
                body.close()


def _list_parts(s3: "S3Client", *, place: Any, marker: int) -> Any:
    return s3.list_parts(**place, PartNumberMarker=marker)


def _begin(s3: "S3Client", *, place: Any, rest: str) -> "StreamingBody":
    return s3.get_object(**place, Range=rest)["Body"]


def _checksum(piece: bytes) -> str:
    return base64.b64encode(_md5(piece)).decode("ascii")


def _md5(piece: bytes) -> bytes:
    # The protocol's own check of what arrived; nobody is kept out by it.
    return hashlib.md5(piece, usedforsecurity=False).digest()
