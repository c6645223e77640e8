"""What channels and buckets of the datalake, and their files, have in common."""

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from .call import optional_text, text_of
from .errors import ApiError, bad_request
from .state import (
    Channel,
    Wire,
    World,
    offset_stamp,
)

META = "x-abeja-meta-"
_LIFETIMES = frozenset({"1day", "1week", "1month", "6months", "1year"})


def seconds_stamp(world: World) -> str:
    """Return the moment as channels and buckets have it."""
    return world.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def new_entry(world: World, body: Mapping[str, Any]) -> Wire:
    """Return what channels and buckets have in common when they are made."""
    made, name = seconds_stamp(world), text_of(body, "name")
    return {
        "name": name,
        "display_name": name,
        "description": optional_text(body, "description"),
        "archived": False,
        "created_at": made,
        "updated_at": made,
    }


def rename(world: World, wire: Wire, body: Mapping[str, Any]) -> None:
    """Change a name and a description."""
    for name in ("name", "description"):
        if body.get(name) is not None:
            wire[name] = optional_text(body, name)
    wire["updated_at"] = seconds_stamp(world)


def metadata_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata among the headers, decoded."""
    return {
        unquote(name.lower()): unquote(value)
        for name, value in headers.items()
        if name.lower().startswith(META)
    }


def encoded(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata as it is sent."""
    return {quote(name): quote(str(value)) for name, value in metadata.items()}


def lifetime_of(value: str | None) -> str | None:
    """Return how long a file is kept, if that is possible."""
    if value is not None and value not in _LIFETIMES:
        raise bad_request(f"lifetime must be one of {', '.join(sorted(_LIFETIMES))}")
    return value


def check_conflict(channel: Channel, metadata: Mapping[str, str], target: str | None) -> None:
    """Refuse a file whose value of the target another one has."""
    if target is None:
        return
    key = target if target.startswith(META) else META + target
    value = metadata.get(key)
    if value is not None and any(f["metadata"].get(key) == value for f in channel.files.values()):
        raise ApiError(409, f"a file whose {target} is {value} exists already")


def _file_id(world: World) -> str:
    return f"{world.now():%Y%m%dT%H%M%S}-{uuid.uuid4()}"


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
    check_conflict(channel, metadata, conflict_target)
    file = new_file(world, channel, content_type=content_type, metadata=metadata)
    world.store.put(file["file_id"], content)
    return file
