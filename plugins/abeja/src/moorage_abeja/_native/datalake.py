"""The datalake: files in channels."""

import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from moorage.errors import InvalidRequestError, MoorageError
from moorage.plugin import Progress, open_source
from moorage.plugin.transport import Data, DigestedContent, Downloaded, ResponseStream, SignedUrl

from .._wire import Message
from .._wire_storage import ChannelFile, ChannelFiles
from .buckets import BucketsApi
from .channels import ChannelsApi
from .paging import pages
from .transfer import content_of, fetched, linked

_FILES = "/channels/{channel_id}"
_FILE = f"{_FILES}/{{file_id}}"
_META = "x-abeja-meta-"
_DIGEST = f"{_META}sha256"


class DatalakeApi(ChannelsApi, BucketsApi):
    """Channels, their files, and buckets.

    The metadata of files has names that begin with `x-abeja-meta-`. Names and values may have any
    characters; they are encoded on their way.
    """

    def list_channel_files(
        self,
        channel_id: str,
        *,
        start: str | None = None,
        end: str | None = None,
        timezone: str | None = None,
        items_per_page: int | None = None,
        sort: str | None = None,
        next_page_token: str | None = None,
        query: str | None = None,
    ) -> ChannelFiles:
        """Return a page of a channel's files.

        Args:
            channel_id: Whose.
            start: First day, `YYYYMMDD`.
            end: Last day, `YYYYMMDD`.
            timezone: Of these days, `"Asia/Tokyo"` for example; it says nothing without one.
            items_per_page: At most this many.
            sort: Names of fields, with `-` before one for the other direction; by default
                `uploaded_at`.
            next_page_token: From the page before; then no other argument.
            query: `x-abeja-meta-filename:TEXT` for example.
        """
        if query is not None and not isinstance(query, str):
            raise InvalidRequestError("a query is text", fields={"query": "not text"})
        parameters = {
            "start": start,
            "end": end,
            "timezone": timezone if start or end else None,
            "items_per_page": items_per_page,
            "sort": sort,
            "next_page_token": next_page_token,
            "q": query,
        }
        ids = {"channel_id": channel_id}
        return self._plain("GET", _FILES, ChannelFiles, ids, query=parameters)

    def iter_channel_files(
        self,
        channel_id: str,
        *,
        start: str | None = None,
        end: str | None = None,
        timezone: str | None = None,
        items_per_page: int | None = None,
        sort: str | None = None,
        query: str | None = None,
    ) -> Iterator[ChannelFile]:
        """Yield all files of a channel, fetched as they are asked for."""

        def fetch(token: str | None) -> tuple[Sequence[ChannelFile], str | None]:
            if token is not None:
                page = self.list_channel_files(channel_id, next_page_token=token)
            else:
                page = self.list_channel_files(
                    channel_id,
                    start=start,
                    end=end,
                    timezone=timezone,
                    items_per_page=items_per_page,
                    sort=sort,
                    query=query,
                )
            return page.files, page.next_page_token

        return pages(fetch)

    def post_channel_file_upload(
        self,
        channel_id: str,
        file_obj: Data,
        content_type: str | None,
        *,
        metadata: Mapping[str, str] | None = None,
        lifetime: str | None = None,
        conflict_target: str | None = None,
        progress: Progress | None = None,
    ) -> ChannelFile:
        """Store a file in a channel; it is streamed, and sent once.

        Args:
            channel_id: Where to.
            file_obj: An open binary file, a path, bytes, or pieces.
            content_type: Of the file.
            metadata: By names that begin with `x-abeja-meta-`.
            lifetime: `"1day"`, `"1week"`, `"1month"`, `"6months"` or `"1year"`; by default for
                ever.
            conflict_target: A name of the metadata, without its beginning, that must be unique.
            progress: Called with bytes done and bytes in total.

        Raises:
            ConflictError: A file has the same value under the name that must be unique.
        """
        options: dict[str, Any] = {} if progress is None else {"progress": progress}
        if content_type is not None:
            options["content_type"] = content_type
        return self._plain(
            "POST",
            f"{_FILES}/upload",
            ChannelFile,
            {"channel_id": channel_id},
            data=file_obj,
            headers=_encoded(metadata),
            query={"lifetime": lifetime, "conflict_target": conflict_target},
            **options,
        )

    def get_channel_file_upload(
        self,
        channel_id: str,
        content_type: str | None,
        metadata: Mapping[str, str] | None = None,
    ) -> ChannelFile:
        """Make a place for a file; its `upload_url` says where the bytes go."""
        options = {} if content_type is None else {"content_type": content_type}
        ids = {"channel_id": channel_id}
        headers = _encoded(metadata)
        return self._plain("POST", _FILES, ChannelFile, ids, headers=headers, **options)

    def get_channel_file_download(self, channel_id: str, file_id: str) -> ChannelFile:
        """Return one file with the link that it is fetched from, which is a secret."""
        return self._plain("GET", _FILE, ChannelFile, _ids(channel_id, file_id))

    def delete_channel_file(self, channel_id: str, file_id: str) -> Message:
        """Delete a file."""
        return self._plain("DELETE", _FILE, Message, _ids(channel_id, file_id))

    def put_channel_file_metadata(
        self, channel_id: str, file_id: str, metadata: Mapping[str, str] | None = None
    ) -> ChannelFile:
        """Replace all metadata of a file."""
        ids = _ids(channel_id, file_id)
        body = _encoded(metadata)
        return self._plain("PUT", f"{_FILE}/metadata", ChannelFile, ids, json=body, repeatable=True)

    def put_channel_file_lifetime(
        self, channel_id: str, file_id: str, lifetime: str | None
    ) -> ChannelFile:
        """Change how long a file is kept."""
        ids = _ids(channel_id, file_id)
        body = {"lifetime": lifetime}
        return self._plain("PUT", f"{_FILE}/lifetime", ChannelFile, ids, json=body, repeatable=True)

    def upload_channel_file(
        self,
        channel_id: str,
        path: str | Path,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        lifetime: str | None = None,
        conflict_target: str | None = None,
        progress: Progress | None = None,
    ) -> ChannelFile:
        """Store a file of this machine, with its name and its digest among the metadata.

        Args:
            channel_id: Where to.
            path: The file.
            content_type: By default what its extension stands for.
            metadata: More, by names without or with `x-abeja-meta-`.
            lifetime: As for `post_channel_file_upload`.
            conflict_target: As for `post_channel_file_upload`.
            progress: Called with bytes done and bytes in total.
        """
        path = Path(path)
        named = {"filename": path.name, **(metadata or {})}
        headers = {
            key if key.lower().startswith("x-abeja-") else f"{_META}{key}": str(value)
            for key, value in named.items()
        }
        headers[_DIGEST] = _sha256(path)
        return self.post_channel_file_upload(
            channel_id,
            path,
            content_type or mimetypes.guess_type(path.name)[0],
            metadata=headers,
            lifetime=lifetime,
            conflict_target=conflict_target,
            progress=progress,
        )

    def upload_channel_directory(
        self,
        channel_id: str,
        directory: str | Path,
        *,
        recursive: bool = True,
        metadata: Mapping[str, str] | None = None,
        lifetime: str | None = None,
    ) -> tuple[ChannelFile, ...]:
        """Store the files of a directory, named by their paths in it.

        Raises:
            MoorageError: One could not be stored; those before it were, and a note says how many.
        """
        stored: list[ChannelFile] = []
        for file in open_source(directory).files():
            if "/" in file.path and not recursive:
                continue
            try:
                stored.append(
                    self.upload_channel_file(
                        channel_id,
                        Path(directory) / file.path,
                        metadata={"filename": file.path, **(metadata or {})},
                        lifetime=lifetime,
                    )
                )
            except MoorageError as exc:
                exc.add_note(f"{file.path!r} was not stored; {len(stored)} files before it were")
                raise
        return tuple(stored)

    def fetch_channel_file(
        self,
        channel_id: str,
        file_id: str,
        destination: Path,
        *,
        size_bytes: int | None = None,
        digest: str | None = None,
        progress: Progress | None = None,
    ) -> Downloaded:
        """Download a file to a file of this machine, which appears once it is whole.

        Args:
            channel_id: Whose file.
            file_id: Which.
            destination: Where to.
            size_bytes: What its size must be.
            digest: What its digest must be; by default what the metadata say, where they do.
            progress: Called with bytes done and bytes in total.

        Raises:
            IntegrityError: It is not what its digest says.
            NotFoundError: There is no such file.
        """
        found: list[ChannelFile] = [self.get_channel_file_download(channel_id, file_id)]
        known = found[0].meta("sha256")
        if digest is None and known:
            digest = f"sha256:{known}"

        def link() -> str | None:
            info = found.pop() if found else self.get_channel_file_download(channel_id, file_id)
            return info.download_uri

        return fetched(
            self._http,
            link,
            destination,
            what=f"file {file_id}",
            size_bytes=size_bytes,
            digest=digest,
            progress=progress,
        )

    def open_channel_file(
        self, channel_id: str, file_id: str, *, start: int = 0, stop: int | None = None
    ) -> ResponseStream:
        """Return a file, or a part of it, as a stream; close it, or use it in a `with` statement.

        Args:
            channel_id: Whose file.
            file_id: Which.
            start: First byte.
            stop: The byte after the last one; by default to the end.
        """
        if start < 0 or (stop is not None and stop <= start):
            raise InvalidRequestError(
                "a part of a file begins at 0 or later and ends after its beginning",
                fields={"start": "a number from 0 on", "stop": "more than start"},
            )
        info = self.get_channel_file_download(channel_id, file_id)
        url = SignedUrl(linked(info.download_uri, f"file {file_id}"))
        if not start and stop is None:
            return self._http.stream("GET", url)
        last = "" if stop is None else stop - 1
        stream = self._http.stream(
            "GET", url, headers={"Range": f"bytes={start}-{last}"}, success={200, 206}
        )
        if stream.status != 206:  # the store knows no parts
            stream.close()
            raise InvalidRequestError(
                f"the store of file {file_id} gives no parts of it", hint="read it as a whole"
            )
        return stream


def _ids(channel_id: str, file_id: str) -> dict[str, str | int]:
    return {"channel_id": channel_id, "file_id": file_id}


def _encoded(metadata: Mapping[str, str] | None) -> dict[str, str]:
    return {quote(str(key)): quote(str(value)) for key, value in (metadata or {}).items()}


def _sha256(path: Path) -> str:
    content = DigestedContent(content_of(path), "sha256")
    for _ in content.blocks():
        pass
    return content.digest("sha256")
