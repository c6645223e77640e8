"""Buckets of the datalake, which the platform calls alpha."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from moorage.errors import InvalidRequestError
from moorage.plugin import Progress, open_source
from moorage.plugin.transport import Data, FileField, Form

from .._wire_storage import Bucket, BucketFile, BucketFiles, BucketInfo, Buckets
from .noun import ORGANIZATION, Noun, filled, given
from .paging import numbered, pages

_BUCKETS = f"{ORGANIZATION}/buckets"
_BUCKET = f"{_BUCKETS}/{{bucket_id}}"
_FILES = f"{_BUCKET}/files"


class BucketsApi(Noun):
    """The buckets of an organization."""

    def create_bucket(
        self, name: str, description: str, *, organization_id: str | None = None
    ) -> Bucket:
        """Create a bucket."""
        body = {"name": name, "description": description}
        return self._call("POST", _BUCKETS, Bucket, organization_id, json=body)

    def list_buckets(
        self,
        *,
        limit: int | None = None,
        offset: int | None = None,
        organization_id: str | None = None,
    ) -> Buckets:
        """Return a page of buckets."""
        query = {"limit": limit, "offset": offset}
        return self._call("GET", _BUCKETS, Buckets, organization_id, query=query)

    def iter_buckets(self, *, organization_id: str | None = None) -> Iterator[BucketInfo]:
        """Yield all buckets, fetched as they are asked for."""

        def fetch(offset: int) -> tuple[Sequence[BucketInfo], bool]:
            page = self.list_buckets(offset=offset or None, organization_id=organization_id)
            return page.buckets, bool(page.has_next)

        return numbered(fetch)

    def get_bucket(self, bucket_id: str, *, organization_id: str | None = None) -> Bucket:
        """Return one bucket."""
        return self._call("GET", _BUCKET, Bucket, organization_id, {"bucket_id": bucket_id})

    def patch_bucket(
        self,
        bucket_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        organization_id: str | None = None,
    ) -> Bucket:
        """Change what is said about a bucket; an empty text clears a field."""
        body = given(name=name, description=description)
        ids = {"bucket_id": bucket_id}
        return self._call("PATCH", _BUCKET, Bucket, organization_id, ids, json=body)

    def archive_bucket(self, bucket_id: str, *, organization_id: str | None = None) -> Bucket:
        """Put a bucket away."""
        ids = {"bucket_id": bucket_id}
        return self._call("POST", f"{_BUCKET}/archive", Bucket, organization_id, ids)

    def unarchive_bucket(self, bucket_id: str, *, organization_id: str | None = None) -> Bucket:
        """Take a bucket out again."""
        ids = {"bucket_id": bucket_id}
        return self._call("POST", f"{_BUCKET}/unarchive", Bucket, organization_id, ids)

    def list_bucket_files(
        self,
        bucket_id: str,
        *,
        target_dir: str = "/",
        items_per_page: int | None = None,
        last_file_id: str | None = None,
        query: str | None = None,
        organization_id: str | None = None,
    ) -> BucketFiles:
        """Return a page of a bucket's files.

        Args:
            bucket_id: Whose.
            target_dir: In which directory.
            items_per_page: At most this many.
            last_file_id: From the page before.
            query: What to look for.
            organization_id: By default the client's.
        """
        if query is not None and not isinstance(query, str):
            raise InvalidRequestError("a query is text", fields={"query": "not text"})
        parameters = {
            "target_dir": target_dir,
            "items_per_page": items_per_page,
            "last_file_id": last_file_id,
            "q": query,
        }
        ids = {"bucket_id": bucket_id}
        return self._call("GET", _FILES, BucketFiles, organization_id, ids, query=parameters)

    def iter_bucket_files(
        self,
        bucket_id: str,
        *,
        target_dir: str = "/",
        query: str | None = None,
        organization_id: str | None = None,
    ) -> Iterator[BucketFile]:
        """Yield all files of a directory of a bucket, fetched as they are asked for."""

        def fetch(last: str | None) -> tuple[Sequence[BucketFile], str | None]:
            page = self.list_bucket_files(
                bucket_id,
                target_dir=target_dir,
                last_file_id=last,
                query=query,
                organization_id=organization_id,
            )
            # How the last page shows is not documented; one without files is the end as well.
            return page.files, page.last_file_id if page.files else None

        return pages(fetch)

    def get_bucket_file(
        self, bucket_id: str, file_id: str, *, organization_id: str | None = None
    ) -> BucketFile:
        """Return one file by its path."""
        ids = {"bucket_id": bucket_id, "file_id": file_id.lstrip("/")}
        return self._call("GET", f"{_FILES}/{{file_id*}}", BucketFile, organization_id, ids)

    def upload_bucket_file(
        self,
        bucket_id: str,
        file_obj: Data,
        file_location: str,
        content_type: str | None,
        *,
        metadata: Mapping[str, str] | None = None,
        lifetime: str | None = None,
        progress: Progress | None = None,
        organization_id: str | None = None,
    ) -> BucketFile:
        """Store a file in a bucket; it is streamed, and sent once.

        Args:
            bucket_id: Where to.
            file_obj: An open binary file, a path, bytes, or pieces.
            file_location: Its path in the bucket.
            content_type: Of the file.
            metadata: By names that begin with `x-abeja-meta-`.
            lifetime: How long it is kept, `"1day"` for example.
            progress: Called with bytes done and bytes in total.
            organization_id: By default the client's.

        Raises:
            InvalidRequestError: The path is none; nothing was sent.
        """
        parts = file_location.split("/")
        if not {"", ".", ".."}.isdisjoint(parts):
            raise InvalidRequestError(
                f"{file_location!r} is not a path in a bucket",
                hint="leave out a slash at the beginning, and '.' and '..'",
                fields={"file_location": "not a path"},
            )
        form = Form(
            [
                FileField(
                    "file",
                    file_obj,
                    filename=file_location,
                    content_type=content_type or "application/octet-stream",
                ),
                FileField(
                    "parameters",
                    msgspec.json.encode(filled(lifetime=lifetime)),
                    filename="params.json",
                    content_type="application/json",
                ),
            ]
        )
        options = {} if progress is None else {"progress": progress}
        headers = {quote(str(key)): quote(str(value)) for key, value in (metadata or {}).items()}
        return self._call(
            "POST",
            _FILES,
            BucketFile,
            organization_id,
            {"bucket_id": bucket_id},
            data=form,
            headers=headers,
            **options,
        )

    def upload_bucket_files(
        self,
        bucket_id: str,
        target_dir: str | Path,
        *,
        lifetime: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[BucketFile, ...]:
        """Store the files of a directory of this machine under their paths in it."""
        import mimetypes

        return tuple(
            self.upload_bucket_file(
                bucket_id,
                Path(target_dir) / file.path,
                file.path,
                mimetypes.guess_type(file.path)[0],
                metadata={"x-abeja-meta-filename": file.path},
                lifetime=lifetime,
                organization_id=organization_id,
            )
            for file in open_source(target_dir).files()
        )
