"""Uploads: the private files of a project."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from moorage.errors import (
    AuthenticationError,
    ConflictError,
    MoorageError,
    PermissionDeniedError,
    UnsupportedError,
)
from moorage.plugin import Progress
from moorage.plugin.transport import (
    FileContent,
    FileField,
    Form,
    HttpClient,
    RequestOptions,
    ResponseStream,
    SignedUrl,
    TextField,
)

from ._body import described, given, json_text
from ._manager import Manager
from ._transfer import Transfer, own_path
from ._upload_file import file_of, opened
from ._wire import Envelope, Upload, UploadCreate

PATH = "/admin/api/uploads"

R = TypeVar("R")


class Uploads(Manager[Upload]):
    """The files of the project.

    The service has no filters for them, calls them temporary, and counts them against the storage
    of the site.
    """

    _path = PATH
    _noun = "upload"
    _item = Upload
    _envelope = Envelope[Upload] | list[Upload]

    def __init__(self, http: HttpClient, endpoint: str) -> None:
        super().__init__(http)
        self._endpoint = endpoint

    def create(
        self,
        data: UploadCreate | Mapping[str, Any] | None = None,
        *,
        progress: Progress | None = None,
        timeout: float | None = None,
        **fields: Any,
    ) -> Upload:
        """Upload a file through the API; it is streamed and sent once.

        Args:
            data: The file and what is said about it.
            progress: Told how much was sent.
            timeout: Seconds for everything; by default it takes as long as bytes move.
            fields: What `data` says, as keywords.

        Raises:
            InvalidRequestError: The file cannot be read, or its name ends in what the service
                does not take.
            MoorageError: With `retry` `unknown_outcome`, it may have been stored.
        """
        create = described(given(data, fields, "an upload"), UploadCreate, "an upload", "file")
        parts: list[TextField | FileField] = [
            TextField("name", create.name),
            TextField("tags", create.tags),
        ]
        if create.meta is not None:
            parts.append(TextField("meta", json_text(create.meta, "an upload's meta")))
        if create.description is not None:
            parts.append(TextField("description", create.description))
        with opened(create.file, self._http) as file:
            parts.append(file.field("file"))
            options: RequestOptions = {"data": Form(parts), "timeout": timeout}
            if progress is not None:
                options["progress"] = progress
            return self._http.call("POST", PATH, returns=Upload, **options)

    def update(self, id_: str, data: Any) -> Upload:  # noqa: ARG002  # as the others take it
        """Refuse: the service cannot change an upload.

        Raises:
            UnsupportedError: Always; nothing is sent.
        """
        raise UnsupportedError(
            f"an upload cannot be changed, and neither can {id_!r}",
            hint="delete it and upload it anew",
        )

    def create_cloud_upload(
        self, mime_type: str, file_size: int, filename: str, name: str | None = None
    ) -> dict[str, Any]:
        """Announce a file that goes to the storage directly, and return what the service says.

        The reply's keys are not documented; `send` does all of it and looks for the usual ones.
        """
        body = {"mime_type": mime_type, "file_size": file_size, "filename": filename}
        reply: dict[str, Any] = self._http.call(
            "POST",
            f"{PATH}/create-cloud-upload",
            json={**body, "name": name} if name else body,
            returns=dict[str, Any],
        )
        return reply

    def mark_started(self, id_: str) -> Upload:
        """Tell the service that the transfer of an announced file has begun."""
        return self._mark(id_, "mark-started")

    def mark_completed(self, id_: str) -> Upload:
        """Tell the service that an announced file is in the storage."""
        return self._mark(id_, "mark-completed")

    def mark_failed(self, id_: str) -> Upload:
        """Tell the service that an announced file will not come."""
        return self._mark(id_, "mark-failed")

    def send(
        self,
        file: Path | str,
        *,
        name: str | None = None,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> Upload:
        """Upload a file to the storage directly: announce it, transfer it, mark it.

        No credential goes to the storage; the address that the service gives carries its own.
        A transfer that fails is marked as failed.

        Args:
            file: Its path.
            name: For people.
            progress: Told how much was sent.
            timeout: Seconds for the transfer; by default it takes as long as bytes move.

        Raises:
            InvalidRequestError: The file cannot be read.
            DecodeError: The service's announcement has no address to send to.
        """
        found = file_of(Path(file))
        content = FileContent(Path(file))
        transfer = Transfer.parse(
            self.create_cloud_upload(found.content_type, content.length, found.filename, name)
        )
        try:
            self.mark_started(transfer.upload_id)
            transfer.run(self._http, content, found, progress=progress, timeout=timeout)
        except BaseException:
            with contextlib.suppress(MoorageError):  # the transfer's own failure tells more
                self.mark_failed(transfer.upload_id)
            raise
        return self.mark_completed(transfer.upload_id)

    def download(
        self,
        upload: Upload | str,
        destination: Path | str,
        *,
        digest: str | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Download an upload's content to a file, which appears once all of it is there.

        Args:
            upload: The upload, or its id.
            destination: The file; its directory must exist.
            digest: What its digest must be, `"sha256:<hex>"`.
            progress: Told how much has arrived.

        Raises:
            NotFoundError: There is none.
            ConflictError: It has no content yet.
            IntegrityError: It is damaged.
        """
        found = self.get(upload) if isinstance(upload, str) else upload
        target = Path(destination)

        def fetch(**where: Any) -> None:
            self._http.download(
                where.pop("target"),
                target,
                where.pop("parameters", {}),
                digest=digest,
                progress=progress,
                **where,
            )

        self._with_url(found, fetch)
        return target

    def open(self, upload: Upload | str) -> ResponseStream:
        """Return an upload's content as a stream; close it, or use it in a `with` statement.

        Raises:
            NotFoundError: There is none.
            ConflictError: It has no content yet.
        """
        found = self.get(upload) if isinstance(upload, str) else upload

        def fetch(**where: Any) -> ResponseStream:
            target = where.pop("target")
            return self._http.stream("GET", target, where.pop("parameters", {}), **where)

        return self._with_url(found, fetch)

    def _with_url(self, upload: Upload, fetch: Callable[..., R]) -> R:
        """Fetch from an upload's address.

        Whether addresses are public, signed or need the key is not documented. One of the API's
        own origin gets the key, any other is asked without it, as a signed one must be.
        """
        if not upload.url:
            raise ConflictError(
                f"upload {upload.id!r} has no content yet: it is {upload.status}",
                hint="wait until it is completed",
            )
        own = own_path(upload.url, self._endpoint)
        if own is not None:
            path, query = own
            return fetch(target="/{path*}", parameters={"path": path}, query=query)
        try:
            return fetch(target=SignedUrl(upload.url))
        except (AuthenticationError, PermissionDeniedError) as exc:
            exc.hint = (
                "the address may have expired, or may belong to a storage that wants credentials,"
                " which are never sent to another host than the API's"
            )
            raise

    def _mark(self, id_: str, what: str) -> Upload:
        # Marking twice is the same as marking once.
        return self._http.call(
            "POST", f"{PATH}/{{id}}/{what}", {"id": id_}, returns=Upload, repeatable=True
        )
