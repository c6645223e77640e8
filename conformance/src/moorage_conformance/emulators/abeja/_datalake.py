"""The datalake: channels and their files, buckets and theirs."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

from .._incoming import json_object
from .._object_store import LIFETIME_S
from ._call import Call, Route, listed, optional_text, text_of, without_archived
from .errors import ApiError, bad_request
from .state import (
    DATASOURCE_ID,
    DATASOURCE_SECRET,
    Bucket,
    Channel,
    Wire,
    World,
    found,
    offset_stamp,
)

_C = "/organizations/{organization}/channels"
_B = "/organizations/{organization}/buckets"
_F = "/channels/{channel}"

_META = "x-abeja-meta-"
_LIFETIMES = frozenset({"1day", "1week", "1month", "6months", "1year"})
_STORAGE_TYPES = frozenset({"datalake", "file"})


def _seconds(world: World) -> str:
    return world.now().strftime("%Y-%m-%dT%H:%M:%SZ")


# Channels -----------------------------------------------------------------------------------------


async def create_channel(call: Call) -> Wire:
    """Make a channel; names need not be unique."""
    body = await call.body()
    world = call.world
    storage_type = optional_text(body, "storage_type") or "datalake"
    if storage_type not in _STORAGE_TYPES:
        raise bad_request("storage_type must be datalake or file", field="storage_type")
    named = {**_named(world, body), "storage_type": storage_type}
    channel = Channel({"channel_id": world.number(), **named})
    world.channels[channel.id] = channel
    return {**world.envelope, "channel": channel.wire}


async def list_channels(call: Call) -> Wire:
    """List channels by pages."""
    wires = [channel.wire for channel in call.world.channels.values()]
    channels = without_archived(call, wires)
    return listed(call, "channels", channels)


async def get_channel(call: Call) -> Wire:
    """Show one."""
    return {**call.world.envelope, "channel": call.world.channel(call["channel"]).wire}


async def patch_channel(call: Call) -> Wire:
    """Change its name and description."""
    channel = call.world.channel(call["channel"])
    _rename(call.world, channel.wire, await call.body(optional=True))
    return {**call.world.envelope, "channel": channel.wire}


def _named(world: World, body: Mapping[str, Any]) -> Wire:
    """Return what channels and buckets have in common when they are made."""
    made, name = _seconds(world), text_of(body, "name")
    return {
        "name": name,
        "display_name": name,
        "description": optional_text(body, "description"),
        "archived": False,
        "created_at": made,
        "updated_at": made,
    }


def _rename(world: World, wire: Wire, body: Mapping[str, Any]) -> None:
    for name in ("name", "description"):
        if body.get(name) is not None:
            wire[name] = optional_text(body, name)
    wire["updated_at"] = _seconds(world)


async def archive_channel(call: Call) -> Wire:
    """Archive one; there is no way to delete it."""
    wire = call.world.channel(call["channel"]).wire
    wire.update(archived=True, updated_at=_seconds(call.world))
    return {**call.world.envelope, "channel": {**wire, "security_method": "organization"}}


async def unarchive_channel(call: Call) -> Wire:
    """Take one back from the archive."""
    wire = call.world.channel(call["channel"]).wire
    wire.update(archived=False, updated_at=_seconds(call.world))
    return {**call.world.envelope, "channel": wire}


# Data sources -------------------------------------------------------------------------------------


def _datasource(call: Call) -> Wire:
    made = _seconds(call.world)
    return {
        "datasource_id": call["datasource"],
        "display_name": "src",
        "secret": DATASOURCE_SECRET,
        "created_at": made,
        "updated_at": made,
    }


async def put_datasource(call: Call) -> Wire:
    """Bind the data source to a channel; a second time is a conflict."""
    channel = call.world.channel(call["channel"])
    if call["datasource"] != DATASOURCE_ID:
        raise bad_request(f"datasource {call['datasource']} does not exist")
    if call["datasource"] in channel.datasources:
        raise ApiError(409, f"datasource {call['datasource']} is bound already")
    channel.datasources[call["datasource"]] = _datasource(call)
    return {**call.world.envelope, "datasource": channel.datasources[call["datasource"]]}


async def delete_datasource(call: Call) -> Wire:
    """Take the binding back."""
    channel = call.world.channel(call["channel"])
    datasource = found(channel.datasources, "datasource", call["datasource"])
    del channel.datasources[call["datasource"]]
    return {**call.world.envelope, "datasource": datasource}


async def list_datasources(call: Call) -> Wire:
    """List what is bound to a channel."""
    bound = list(call.world.channel(call["channel"]).datasources.values())
    return listed(call, "datasources", bound)


# Files of channels --------------------------------------------------------------------------------


def _file_id(world: World) -> str:
    return f"{world.now():%Y%m%dT%H%M%S}-{uuid.uuid4()}"


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata among the headers, decoded."""
    return {
        unquote(name.lower()): unquote(value)
        for name, value in headers.items()
        if name.lower().startswith(_META)
    }


def _encoded(metadata: Mapping[str, str]) -> dict[str, str]:
    return {quote(name): quote(str(value)) for name, value in metadata.items()}


def _lifetime(value: str | None) -> str | None:
    if value is not None and value not in _LIFETIMES:
        raise bad_request(f"lifetime must be one of {', '.join(sorted(_LIFETIMES))}")
    return value


def _check_conflict(channel: Channel, metadata: Mapping[str, str], target: str | None) -> None:
    if target is None:
        return
    key = target if target.startswith(_META) else _META + target
    value = metadata.get(key)
    if value is not None and any(f["metadata"].get(key) == value for f in channel.files.values()):
        raise ApiError(409, f"a file whose {target} is {value} exists already")


def new_file(
    world: World,
    channel: Channel,
    *,
    content_type: str | None,
    metadata: dict[str, str],
    lifetime: str | None = None,
    uploaded: bool = True,
) -> Wire:
    """Make the entry of a file, whose content is stored under its id."""
    file: Wire = {
        "file_id": _file_id(world),
        "content_type": content_type,
        "metadata": metadata,
        "uploaded_at": offset_stamp(world.now()) if uploaded else None,
        "lifetime": lifetime,
    }
    channel.files[file["file_id"]] = file
    return file


def add_file(
    world: World,
    channel: Channel,
    content: bytes,
    *,
    content_type: str | None,
    metadata: dict[str, str],
    conflict_target: str | None = None,
) -> Wire:
    """Add a file to a channel."""
    _check_conflict(channel, metadata, conflict_target)
    file = new_file(world, channel, content_type=content_type, metadata=metadata)
    world.store.put(file["file_id"], content)
    return file


def _shown(world: World, file: Wire) -> Wire:
    """Return a file with where it can be downloaded, under both names of that."""
    if file["uploaded_at"] is None and file["file_id"] in world.store.objects:
        file["uploaded_at"] = offset_stamp(world.now())
    uri = world.store.sign("GET", file["file_id"])
    return {
        **file,
        "metadata": _encoded(file["metadata"]),
        "url_expires_on": offset_stamp(world.now() + timedelta(seconds=LIFETIME_S)),
        "download_uri": uri,
        "download_url": uri,
    }


async def upload_file(call: Call) -> Wire:
    """Take a file as the body of the request; its time is not told yet."""
    world, request = call.world, call.request
    channel = world.channel(call["channel"])
    metadata = _metadata(request.headers)
    lifetime = _lifetime(call.text("lifetime"))
    _check_conflict(channel, metadata, call.text("conflict_target"))
    received = await world.store.receive(request.content.iter_any())
    try:
        _check_conflict(channel, metadata, call.text("conflict_target"))
    except ApiError:
        received.path.unlink()
        raise
    file = new_file(
        world,
        channel,
        content_type=request.headers.get("Content-Type"),
        metadata=metadata,
        lifetime=lifetime,
    )
    world.store.keep(file["file_id"], received)
    return {**file, "metadata": _encoded(metadata), "uploaded_at": None}


async def prepare_file(call: Call) -> Wire:
    """Make the entry of a file and tell where its content goes."""
    world, request = call.world, call.request
    file = new_file(
        world,
        world.channel(call["channel"]),
        content_type=request.headers.get("Content-Type"),
        metadata=_metadata(request.headers),
        uploaded=False,
    )
    return {
        **file,
        "metadata": _encoded(file["metadata"]),
        "url_expires_on": offset_stamp(world.now() + timedelta(seconds=LIFETIME_S)),
        "upload_url": world.store.sign("PUT", file["file_id"]),
    }


async def list_files(call: Call) -> Wire:
    """List files by pages; a further page goes by its token alone."""
    world = call.world
    channel = world.channel(call["channel"])
    token = call.text("next_page_token")
    if token is not None:
        if len(call.request.query) > 1:
            raise bad_request("next_page_token goes with no other parameter")
        if token not in channel.pages:
            raise bad_request("next_page_token is not known")
        order, begin, size = channel.pages[token]
    else:
        order = _order(call)
        begin, size = 0, call.number("items_per_page", 100, least=1)
    files = order.of(list(channel.files.values()))
    page = files[begin : begin + size]
    following = None
    if begin + size < len(files):
        following = uuid.uuid4().hex
        channel.pages[following] = (order, begin + size, size)
    return {"files": [_shown(world, file) for file in page], "next_page_token": following}


class _Order:
    """Which files a listing has, and in which order."""

    def __init__(
        self, sort: tuple[str, ...], query: str | None, since: str | None, until: str | None
    ) -> None:
        self._sort = sort
        self._query = query
        self._since = since
        self._until = until

    def of(self, files: list[Wire]) -> list[Wire]:
        chosen = [file for file in files if self._fits(file)]
        for key in reversed(self._sort):
            name = key.removeprefix("-")
            chosen.sort(key=lambda file: _sortable(file, name), reverse=key.startswith("-"))
        return chosen

    def _fits(self, file: Wire) -> bool:
        day = file["file_id"][:8]  # an id begins with the day
        if (self._since and day < self._since) or (self._until and day > self._until):
            return False
        if self._query is None:
            return True
        name, _, text = self._query.partition(":")
        return text in str(file["metadata"].get(name, ""))


def _sortable(file: Wire, name: str) -> str:
    value = file.get(name) if name in file else file["metadata"].get(_META + name)
    return str(value or "")


def _order(call: Call) -> _Order:
    query = call.text("q")
    if query is not None and ":" not in query:
        raise bad_request("q must be name:text")
    sort = tuple((call.text("sort") or "uploaded_at").split(","))
    return _Order(sort, query, _day(call, "start"), _day(call, "end"))


def _day(call: Call, name: str) -> str | None:
    text = call.text(name)
    if text is None:
        return None
    try:
        return f"{datetime.fromisoformat(text):%Y%m%d}"
    except ValueError:
        raise bad_request(f"{name} is not a day") from None


def _file_of(call: Call) -> Wire:
    return found(call.world.channel(call["channel"]).files, "file", call["file"])


async def get_file(call: Call) -> Wire:
    """Show one."""
    return _shown(call.world, _file_of(call))


async def delete_file(call: Call) -> Wire:
    """Delete one."""
    file = _file_of(call)
    del call.world.channel(call["channel"]).files[file["file_id"]]
    call.world.store.delete(file["file_id"])
    return {"message": f"deleted file ({file['file_id']})"}


async def put_file_metadata(call: Call) -> Wire:
    """Replace its metadata."""
    file = _file_of(call)
    body = await call.body()
    file["metadata"] = {
        unquote(name.lower()): unquote(str(value))
        for name, value in body.items()
        if unquote(name.lower()).startswith(_META)
    }
    return _shown(call.world, file)


async def put_file_lifetime(call: Call) -> Wire:
    """Change how long it is kept."""
    file = _file_of(call)
    file["lifetime"] = _lifetime(optional_text(await call.body(), "lifetime"))
    return {
        "channel_id": call["channel"],
        "file_id": file["file_id"],
        "lifetime": file["lifetime"],
    }


# Buckets ------------------------------------------------------------------------------------------


def _bucket(call: Call) -> Bucket:
    return found(call.world.buckets, "bucket", call["bucket"])


async def create_bucket(call: Call) -> Wire:
    """Make a bucket."""
    body = await call.body()
    world = call.world
    bucket = Bucket({"bucket_id": world.number(), **_named(world, body)})
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
    _rename(call.world, bucket.wire, await call.body(optional=True))
    return {**call.world.envelope, "bucket": bucket.wire}


async def archive_bucket(call: Call) -> Wire:
    """Archive one."""
    _bucket(call).wire.update(archived=True, updated_at=_seconds(call.world))
    return {**call.world.envelope, "bucket": _bucket(call).wire}


async def unarchive_bucket(call: Call) -> Wire:
    """Take one back from the archive."""
    _bucket(call).wire.update(archived=False, updated_at=_seconds(call.world))
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
            "metadata": _encoded(_metadata(call.request.headers)),
            "lifetime": _lifetime(optional_text(parameters, "lifetime")),
            "last_modified": now,
            "uploaded_at": now,
        }
        world.store.keep(_bucket_key(bucket, path), file.content)
        return _shown_in_bucket(world, bucket, bucket.files[path])


async def list_bucket_files(call: Call) -> Wire:
    """List the files below a directory by pages; the marker is the last path of a page."""
    bucket = _bucket(call)
    directory = f"/{(call.text('target_dir') or '/').strip('/')}/".replace("//", "/")
    paths = sorted(path for path in bucket.files if path.startswith(directory))
    query = call.text("q")
    if query is not None:
        paths = [path for path in paths if query in path]
    last = call.text("last_file_id")
    if last is not None:
        paths = [path for path in paths if path > last]
    size = call.number("items_per_page", 100, least=1)
    page = paths[:size]
    return {
        "files": [_shown_in_bucket(call.world, bucket, bucket.files[path]) for path in page],
        "last_file_id": page[-1] if len(paths) > size else None,
    }


async def get_bucket_file(call: Call) -> Wire:
    """Show one."""
    bucket = _bucket(call)
    file = found(bucket.files, "file", f"/{call['path'].lstrip('/')}")
    return _shown_in_bucket(call.world, bucket, file)


ROUTES: list[Route] = [
    ("POST", _C, create_channel),
    ("GET", _C, list_channels),
    ("GET", f"{_C}/{{channel}}", get_channel),
    ("PATCH", f"{_C}/{{channel}}", patch_channel),
    ("POST", f"{_C}/{{channel}}/archive", archive_channel),
    ("POST", f"{_C}/{{channel}}/unarchive", unarchive_channel),
    ("GET", f"{_C}/{{channel}}/datasources", list_datasources),
    ("PUT", f"{_C}/{{channel}}/datasources/{{datasource}}", put_datasource),
    ("DELETE", f"{_C}/{{channel}}/datasources/{{datasource}}", delete_datasource),
    ("POST", f"{_F}/upload", upload_file),
    ("POST", _F, prepare_file),
    ("GET", _F, list_files),
    ("GET", f"{_F}/{{file}}", get_file),
    ("DELETE", f"{_F}/{{file}}", delete_file),
    ("PUT", f"{_F}/{{file}}/metadata", put_file_metadata),
    ("PUT", f"{_F}/{{file}}/lifetime", put_file_lifetime),
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
