"""The uploads of the emulated cloud, and where their content is."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from moorage.plugin import Clock

from .errors import refused
from .state import found, stamp

_EXPIRES_S = 3600


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
    etag: str = ""
    status: str = "completed"
    upload_started_at: datetime | None = None
    upload_ended_at: datetime | None = None
    tags: list[str] = []
    content: Path | None = None


class UploadState:
    """All uploads.

    Attributes:
        keeps_meta: Whether what clients attach is kept.
        presigned: Whether content is fetched by signed URLs of a storage, rather than with the key.
    """

    def __init__(self, clock: Clock, new_id: Callable[[], str], place: Path) -> None:
        self.keeps_meta = True
        self.presigned = True
        self.place = place
        self.items: dict[str, Upload] = {}
        self._clock = clock
        self._new_id = new_id
        self._secret = secrets.token_bytes(32)

    def add(
        self, content: Path, filename: str, mime_type: str, size: int, etag: str, **fields: Any
    ) -> Upload:
        """Keep a file that was sent through the API."""
        fields["meta"] = fields["meta"] if self.keeps_meta else {}
        fields["name"] = fields["name"] or filename
        upload = Upload(
            id=self._new_id(),
            mime_type=mime_type,
            filename=filename,
            created_at=self._clock.now(),
            size=size,
            etag=etag,
            content=content,
            **fields,
        )
        self.items[upload.id] = upload
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
        if status == "completed" and upload.content is None:
            raise refused("The file is not in the storage.")
        upload.status = status
        if status == "uploading":
            upload.upload_started_at = upload.upload_started_at or self._clock.now()
        else:
            upload.upload_ended_at = self._clock.now()
        return upload

    def delete(self, id_: str) -> None:
        """Delete an upload and its content."""
        upload: Upload = found(self.items, id_)
        del self.items[id_]
        if upload.content is not None:
            upload.content.unlink(missing_ok=True)

    def new_path(self) -> Path:
        """Return where to write a content."""
        return self.place / secrets.token_hex(12)

    def signature(self, id_: str, method: str, expires: int) -> str:
        """Return what proves that a URL of the storage is ours."""
        text = f"{method} {id_} {expires}".encode()
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()

    def signed_path(self, id_: str, method: str) -> str:
        """Return the path and query by which the storage can be used for a while."""
        expires = int(self._clock.now().timestamp()) + _EXPIRES_S
        signature = self.signature(id_, method, expires)
        return f"/bucket/{id_}?expires={expires}&signature={signature}"

    def is_signed(self, id_: str, method: str, expires: str, signature: str) -> bool:
        """Return whether a URL of the storage is ours and still counts."""
        if not expires.isdigit() or int(expires) < self._clock.now().timestamp():
            return False
        return hmac.compare_digest(self.signature(id_, method, int(expires)), signature)

    def shown(self, upload: Upload, api: str, storage: str) -> dict[str, Any]:
        """Return an upload as it is seen.

        Args:
            upload: Which.
            api: Origin of the API.
            storage: Origin of the storage.
        """
        url = None
        if upload.content is not None and upload.status == "completed":
            own = f"{api}/media/private/{upload.id}/{upload.filename}"
            url = f"{storage}{self.signed_path(upload.id, 'GET')}" if self.presigned else own
        return {
            "id": upload.id,
            "url": url,
            "mime_type": upload.mime_type,
            "name": upload.name,
            "size": upload.size,
            "meta": upload.meta,
            "description": upload.description,
            "storage_path": f"private/{upload.id}/{upload.filename}"[:500],
            "etag": upload.etag,
            "status": upload.status,
            "upload_started_at": upload.upload_started_at and stamp(upload.upload_started_at),
            "upload_ended_at": upload.upload_ended_at and stamp(upload.upload_ended_at),
            "tags": upload.tags,
            "created_at": stamp(upload.created_at),
        }
