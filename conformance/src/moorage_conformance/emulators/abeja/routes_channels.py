"""Channels of the datalake, and the data sources that are bound to them."""

from .call import Call, Route, listed, optional_text, without_archived
from .datalake import new_entry, rename, seconds_stamp
from .errors import ApiError, bad_request
from .state import (
    DATASOURCE_ID,
    DATASOURCE_SECRET,
    Channel,
    Wire,
    found,
)

_C = "/organizations/{organization}/channels"
_STORAGE_TYPES = frozenset({"datalake", "file"})


async def create_channel(call: Call) -> Wire:
    """Make a channel; names need not be unique."""
    body = await call.body()
    world = call.world
    storage_type = optional_text(body, "storage_type") or "datalake"
    if storage_type not in _STORAGE_TYPES:
        raise bad_request("storage_type must be datalake or file", field="storage_type")
    entry = {**new_entry(world, body), "storage_type": storage_type}
    channel = Channel({"channel_id": world.number(), **entry})
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
    rename(call.world, channel.wire, await call.body(optional=True))
    return {**call.world.envelope, "channel": channel.wire}


async def archive_channel(call: Call) -> Wire:
    """Archive one; there is no way to delete it."""
    wire = call.world.channel(call["channel"]).wire
    wire.update(archived=True, updated_at=seconds_stamp(call.world))
    return {**call.world.envelope, "channel": {**wire, "security_method": "organization"}}


async def unarchive_channel(call: Call) -> Wire:
    """Take one back from the archive."""
    wire = call.world.channel(call["channel"]).wire
    wire.update(archived=False, updated_at=seconds_stamp(call.world))
    return {**call.world.envelope, "channel": wire}


# Data sources -------------------------------------------------------------------------------------


def _datasource(call: Call) -> Wire:
    made = seconds_stamp(call.world)
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
]
