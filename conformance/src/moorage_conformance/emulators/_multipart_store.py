"""An object store that takes large objects in several parts."""

import asyncio
import hashlib
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ._object_store import ObjectStore
from ._stored_object import Refused, StoredObject


class MultipartStore(ObjectStore):
    """An object store in which an upload is begun, brought in parts, and completed by their list.

    The URL of a part is signed with `partNumber` and `uploadId`.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._uploads: dict[str, _Upload] = {}

    def start(self, key: str) -> str:
        """Begin an upload in several parts and return its id."""
        upload_id = secrets.token_hex(16)
        self._uploads[upload_id] = _Upload(key)
        return upload_id

    def sign_part(self, key: str, upload_id: str, number: int) -> str:
        """Return where a part goes.

        Raises:
            Refused: There is no such upload, or it is of something else.
        """
        self._upload(upload_id, key)
        return self.sign("PUT", key, partNumber=str(number), uploadId=upload_id)

    async def complete(
        self, key: str, upload_id: str, wanted: Sequence[tuple[int, str]], *, least_bytes: int = 0
    ) -> StoredObject:
        """Make an object of the parts of an upload.

        Args:
            key: Of the object.
            upload_id: The upload.
            wanted: Number and ETag of each part.
            least_bytes: How small every part but the last may be.

        Raises:
            Refused: A part is missing, another than was stored, too small, or out of order.
        """
        upload = self._upload(upload_id, key)
        numbers = [number for number, _ in wanted]
        if not numbers:
            raise Refused(400, "MalformedXML", "an upload has at least one part")
        if numbers != sorted(set(numbers)):
            raise Refused(400, "InvalidPartOrder", "the parts must be in ascending order")
        parts = []
        for number, etag in wanted:
            stored = upload.parts.get(number)
            if stored is None or stored.etag != etag:
                msg = f"part {number} with the ETag {etag} is not there"
                raise Refused(400, "InvalidPart", msg)
            parts.append(stored)
        if any(part.size < least_bytes for part in parts[:-1]):
            msg = "a part but the last is smaller than allowed"
            raise Refused(400, "EntityTooSmall", msg)
        path = self._new_file()
        await asyncio.to_thread(_join, [part.path for part in parts], path)
        digests = b"".join(bytes.fromhex(part.digest) for part in parts)
        joined = hashlib.md5(digests, usedforsecurity=False).hexdigest()
        for each in self._uploads.pop(upload_id).parts.values():
            each.path.unlink(missing_ok=True)
        made = StoredObject(path, sum(part.size for part in parts), f"{joined}-{len(parts)}")
        self.keep(key, made)
        return made

    def accept(self, key: str, received: StoredObject, query: Mapping[str, str]) -> None:
        """Store a part, or a whole object."""
        if "partNumber" not in query:
            super().accept(key, received, query)
            return
        parts = self._upload(query["uploadId"], key).parts
        number = int(query["partNumber"])
        before = parts.get(number)
        parts[number] = received
        if before is not None:
            before.path.unlink()

    @property
    def unfinished(self) -> Mapping[str, Sequence[int]]:
        """The parts of the uploads that were begun and not completed, by the id of the upload."""
        return {upload: tuple(sorted(each.parts)) for upload, each in self._uploads.items()}

    def _upload(self, upload_id: str, key: str) -> "_Upload":
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            msg = f"the upload {upload_id!r} does not exist"
            raise Refused(404, "NoSuchUpload", msg)
        return upload


class _Upload:
    """An upload in several parts."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.parts: dict[int, StoredObject] = {}


def _join(parts: Sequence[Path], path: Path) -> None:
    with path.open("wb") as whole:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole, 1 << 20)
