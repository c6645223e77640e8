"""The uploads of the emulated cloud, and where their content is."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from moorage.plugin import Clock

from .._object_store import ObjectStore
from .._stored_object import Refused, StoredObject
from .errors import refused
from .resources import found, stamp


class Upload(msgspec.Struct, kw_only=True):
    """One private file."""

    id: str
    mime_type: str
    filename: str
    created_at: datetime
    name: str = ""
    size: int = 0
    meta: dict[str, Any] = {}
    description: str = ""
    status: str = "completed"
    upload_started_at: datetime | None = None
    upload_ended_at: datetime | None = None
    tags: list[str] = []


class UploadStore(ObjectStore):
    """The content of uploads, by their ids: it takes what was announced, and as long as that."""

    def __init__(
        self, clock: Clock, origin: Callable[[], str], uploads: Mapping[str, Upload]
    ) -> None:
        super().__init__(clock, origin, head=True)
        self._uploads = uploads

    def accept(self, key: str, received: StoredObject, query: Mapping[str, str]) -> None:
        """Take the content of an upload."""
        upload = self._uploads.get(key)
        if upload is None:
            raise Refused(404, "NoSuchKey", "there is no such upload")
        if received.size != upload.size:
            raise Refused(400, "IncompleteBody", f"{upload.size} bytes were announced")
        super().accept(key, received, query)


class UploadState:
    """All uploads.

    Attributes:
        keeps_meta: Whether what clients attach is kept.
        presigned: Whether content is fetched by signed URLs of a storage, rather than with the key.
        store: That storage.
    """

    def __init__(self, clock: Clock, new_id: Callable[[], str], origin: Callable[[], str]) -> None:
        self.keeps_meta = True
        self.presigned = True
        self.items: dict[str, Upload] = {}
        self.store = UploadStore(clock, origin, self.items)
        self._clock = clock
        self._new_id = new_id

    def add(self, content: StoredObject, filename: str, mime_type: str, **fields: Any) -> Upload:
        """Keep a file that was sent through the API."""
        fields["meta"] = fields["meta"] if self.keeps_meta else {}
        fields["name"] = fields["name"] or filename
        upload = Upload(
            id=self._new_id(),
            mime_type=mime_type,
            filename=filename,
            created_at=self._clock.now(),
            size=content.size,
            **fields,
        )
        self.items[upload.id] = upload
        self.store.keep(upload.id, content)
        return upload

    def announce(self, mime_type: str, size: int, filename: str, name: str) -> Upload:
        """Expect a file that will be sent to the storage."""
        upload = Upload(
            id=self._new_id(),
            mime_type=mime_type,
            filename=filename,
            created_at=self._clock.now(),
            size=size,
            name=name or filename,
            status="pending",
        )
        self.items[upload.id] = upload
        return upload

    def mark(self, id_: str, status: str) -> Upload:
        """Take a client's word for how a transfer goes."""
        upload: Upload = found(self.items, id_)
        if status == "completed" and id_ not in self.store.objects:
            raise refused("The file is not in the storage.")
        upload.status = status
        if status == "uploading":
            upload.upload_started_at = upload.upload_started_at or self._clock.now()
        else:
            upload.upload_ended_at = self._clock.now()
        return upload

    def delete(self, id_: str) -> None:
        """Delete an upload and its content."""
        found(self.items, id_)
        del self.items[id_]
        self.store.delete(id_)

    def shown(self, upload: Upload, api: str) -> dict[str, Any]:
        """Return an upload as it is seen.

        Args:
            upload: Which.
            api: Origin of the API.
        """
        url = None
        content = self.store.objects.get(upload.id)
        if content is not None and upload.status == "completed":
            own = f"{api}/media/private/{upload.id}/{upload.filename}"
            url = self.store.sign("GET", upload.id) if self.presigned else own
        return {
            "id": upload.id,
            "url": url,
            "mime_type": upload.mime_type,
            "name": upload.name,
            "size": upload.size,
            "meta": upload.meta,
            "description": upload.description,
            "storage_path": f"private/{upload.id}/{upload.filename}"[:500],
            "etag": "" if content is None else content.digest,
            "status": upload.status,
            "upload_started_at": upload.upload_started_at and stamp(upload.upload_started_at),
            "upload_ended_at": upload.upload_ended_at and stamp(upload.upload_ended_at),
            "tags": upload.tags,
            "created_at": stamp(upload.created_at),
        }
