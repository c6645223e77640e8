"""Files of channels."""

import uuid
from datetime import datetime, timedelta
from urllib.parse import unquote

from .._object_store import LIFETIME_S
from .call import Call, Route, optional_text
from .datalake import META, check_conflict, encoded, lifetime_of, metadata_of, new_file
from .errors import ApiError, bad_request
from .state import (
    Wire,
    World,
    found,
    offset_stamp,
)

_F = "/channels/{channel}"


def _shown(world: World, file: Wire) -> Wire:
    """Return a file with where it can be downloaded, under both names of that."""
    if file["uploaded_at"] is None and file["file_id"] in world.store.objects:
        file["uploaded_at"] = offset_stamp(world.now())
    uri = world.store.sign("GET", file["file_id"])
    return {
        **file,
        "metadata": encoded(file["metadata"]),
        "url_expires_on": offset_stamp(world.now() + timedelta(seconds=LIFETIME_S)),
        "download_uri": uri,
        "download_url": uri,
    }


async def upload_file(call: Call) -> Wire:
    """Take a file as the body of the request; its time is not told yet."""
    world, request = call.world, call.request
    channel = world.channel(call["channel"])
    metadata = metadata_of(request.headers)
    lifetime = lifetime_of(call.text("lifetime"))
    check_conflict(channel, metadata, call.text("conflict_target"))
    received = await world.store.receive(request.content.iter_any())
    try:
        check_conflict(channel, metadata, call.text("conflict_target"))
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
    return {**file, "metadata": encoded(metadata), "uploaded_at": None}


async def prepare_file(call: Call) -> Wire:
    """Make the entry of a file and tell where its content goes."""
    world, request = call.world, call.request
    file = new_file(
        world,
        world.channel(call["channel"]),
        content_type=request.headers.get("Content-Type"),
        metadata=metadata_of(request.headers),
        uploaded=False,
    )
    return {
        **file,
        "metadata": encoded(file["metadata"]),
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
    value = file.get(name) if name in file else file["metadata"].get(META + name)
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
        if unquote(name.lower()).startswith(META)
    }
    return _shown(call.world, file)


async def put_file_lifetime(call: Call) -> Wire:
    """Change how long it is kept."""
    file = _file_of(call)
    file["lifetime"] = lifetime_of(optional_text(await call.body(), "lifetime"))
    return {
        "channel_id": call["channel"],
        "file_id": file["file_id"],
        "lifetime": file["lifetime"],
    }


ROUTES: list[Route] = [
    ("POST", f"{_F}/upload", upload_file),
    ("POST", _F, prepare_file),
    ("GET", _F, list_files),
    ("GET", f"{_F}/{{file}}", get_file),
    ("DELETE", f"{_F}/{{file}}", delete_file),
    ("PUT", f"{_F}/{{file}}/metadata", put_file_metadata),
    ("PUT", f"{_F}/{{file}}/lifetime", put_file_lifetime),
]
