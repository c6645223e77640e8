"""Buckets of the datalake, and their files."""

from datetime import timedelta

from .._incoming import json_object
from .._object_store import LIFETIME_S
from .call import Call, Route, listed, optional_text, without_archived
from .datalake import encoded, lifetime_of, metadata_of, new_entry, rename, seconds_stamp
from .errors import bad_request
from .state import (
    Bucket,
    Wire,
    World,
    found,
    offset_stamp,
)

_B = "/organizations/{organization}/buckets"


def _bucket(call: Call) -> Bucket:
    return found(call.world.buckets, "bucket", call["bucket"])


async def create_bucket(call: Call) -> Wire:
    """Make a bucket."""
    body = await call.body()
    world = call.world
    bucket = Bucket({"bucket_id": world.number(), **new_entry(world, body)})
    world.buckets[bucket.id] = bucket
    return {**world.envelope, "bucket": bucket.wire}


async def list_buckets(call: Call) -> Wire:
    """List them by pages."""
    buckets = without_archived(call, [bucket.wire for bucket in call.world.buckets.values()])
    return listed(call, "buckets", buckets)


async def get_bucket(call: Call) -> Wire:
    """Show one."""
    return {**call.world.envelope, "bucket": _bucket(call).wire}


async def patch_bucket(call: Call) -> Wire:
    """Change its name and description."""
    bucket = _bucket(call)
    rename(call.world, bucket.wire, await call.body(optional=True))
    return {**call.world.envelope, "bucket": bucket.wire}


async def archive_bucket(call: Call) -> Wire:
    """Archive one."""
    _bucket(call).wire.update(archived=True, updated_at=seconds_stamp(call.world))
    return {**call.world.envelope, "bucket": _bucket(call).wire}


async def unarchive_bucket(call: Call) -> Wire:
    """Take one back from the archive."""
    _bucket(call).wire.update(archived=False, updated_at=seconds_stamp(call.world))
    return {**call.world.envelope, "bucket": _bucket(call).wire}


def _bucket_key(bucket: Bucket, path: str) -> str:
    return f"bucket/{bucket.id}{path}"


def _shown_in_bucket(world: World, bucket: Bucket, file: Wire) -> Wire:
    return {
        **file,
        "url_expires_on": offset_stamp(world.now() + timedelta(seconds=LIFETIME_S)),
        "download_uri": world.store.sign("GET", _bucket_key(bucket, file["file_id"])),
    }


async def upload_bucket_file(call: Call) -> Wire:
    """Take a file; its name is its path, and a file of that path is replaced."""
    world, bucket = call.world, _bucket(call)
    async with call.form("file") as form:
        file = form.files.get("file")
        if file is None or not file.name:
            raise bad_request("the part file is missing")
        parameters = json_object(form.texts.get("parameters", "{}").encode())
        path = f"/{file.name.lstrip('/')}"
        now = offset_stamp(world.now())
        bucket.files[path] = {
            "file_id": path,
            "size": file.content.size,
            "etag": file.content.digest,
            "is_file": True,
            "metadata": encoded(metadata_of(call.request.headers)),
            "lifetime": lifetime_of(optional_text(parameters, "lifetime")),
            "last_modified": now,
            "uploaded_at": now,
        }
        world.store.keep(_bucket_key(bucket, path), file.content)
        return _shown_in_bucket(world, bucket, bucket.files[path])


async def list_bucket_files(call: Call) -> Wire:
    """List the files below a directory by pages; the marker is the last path of a page.

    The platform's library takes it from `last_file_id` and sends it back under that name. Its
    command knows it as `next_start_after` and `start_after`, and goes on until a page is empty.
    """
    bucket = _bucket(call)
    directory = f"/{(call.text('target_dir') or '/').strip('/')}/".replace("//", "/")
    paths = sorted(path for path in bucket.files if path.startswith(directory))
    query = call.text("q")
    if query is not None:
        paths = [path for path in paths if query in path]
    last = call.text("last_file_id") or call.text("start_after")
    if last is not None:
        paths = [path for path in paths if path > last]
    size = call.number("items_per_page", 100, least=1)
    page = paths[:size]
    return {
        "files": [_shown_in_bucket(call.world, bucket, bucket.files[path]) for path in page],
        "last_file_id": page[-1] if len(paths) > size else None,
        "next_start_after": page[-1] if page else None,
    }


async def get_bucket_file(call: Call) -> Wire:
    """Show one."""
    bucket = _bucket(call)
    file = found(bucket.files, "file", f"/{call['path'].lstrip('/')}")
    return _shown_in_bucket(call.world, bucket, file)


ROUTES: list[Route] = [
    ("POST", _B, create_bucket),
    ("GET", _B, list_buckets),
    ("GET", f"{_B}/{{bucket}}", get_bucket),
    ("PATCH", f"{_B}/{{bucket}}", patch_bucket),
    ("POST", f"{_B}/{{bucket}}/archive", archive_bucket),
    ("POST", f"{_B}/{{bucket}}/unarchive", unarchive_bucket),
    ("POST", f"{_B}/{{bucket}}/files", upload_bucket_file),
    ("GET", f"{_B}/{{bucket}}/files", list_bucket_files),
    ("GET", f"{_B}/{{bucket}}/files/{{path:.+}}", get_bucket_file),
]
