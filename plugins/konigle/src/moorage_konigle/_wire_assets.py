"""What Konigle's API sends and takes for media of a site and for connections, in its own words."""

from datetime import datetime
from typing import Any

import msgspec

from ._wire import FileData


class MediaAsset(msgspec.Struct, frozen=True, kw_only=True):
    """What documents, images and videos of a site have in common."""

    id: str
    """The service's own."""

    name: str
    """For people."""

    mime_type: str
    """What it is."""

    created_at: datetime
    """When it was made."""

    updated_at: datetime
    """When it was last changed."""

    alt_text: str = ""
    """What it shows, in words."""

    size: int = 0
    """In bytes."""

    asset_url: str | None = None
    """Where its content is."""

    tags: list[str] = []
    """Words to find it by."""

    description: str | None = None
    """For people."""

    meta: dict[str, Any] | None = None
    """What was attached to it."""


class Document(MediaAsset, frozen=True, kw_only=True):
    """A document of a site."""


class Video(MediaAsset, frozen=True, kw_only=True):
    """A video of a site."""


class Image(MediaAsset, frozen=True, kw_only=True):
    """An image of a site."""

    image_width: int | None = None
    """In pixels."""

    image_height: int | None = None
    """In pixels."""


class MediaAssetCreate(msgspec.Struct, frozen=True, kw_only=True):
    """What is said about a file that is published on a site."""

    name: str
    """For people."""

    alt_text: str = ""
    """What it shows, in words."""

    tags: str = ""
    """Divided by commas."""

    source_url: str | None = None
    """Where it comes from."""

    description: str | None = None
    """For people."""

    meta: dict[str, Any] | None = None
    """To be attached to it."""


class DocumentCreate(MediaAssetCreate, frozen=True, kw_only=True):
    """A document to be published: PDF, CSV, text, Word or Excel."""

    file: FileData
    """As in `UploadCreate`."""


class VideoCreate(MediaAssetCreate, frozen=True, kw_only=True):
    """A video to be published: MP4 or WebM."""

    file: FileData
    """As in `UploadCreate`."""


class ImageCreate(MediaAssetCreate, frozen=True, kw_only=True):
    """An image to be published: JPEG, PNG, GIF or WebP."""

    image: FileData
    """As the `file` of `UploadCreate`."""


class ImageGenerate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image to be drawn by the service."""

    prompt: str
    """What it shall show."""

    aspect_ratio: str = "1:1"
    """Width to height, `16:9` for example."""

    output_format: str = "webp"
    """`webp`, `png`, `jpg` or `jpeg`."""


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection of the project to another service."""

    id: str
    """The service's own."""

    provider: str
    """Code of the other service."""

    created_at: datetime
    """When it was made."""

    updated_at: datetime
    """When it was last changed."""

    token_expires_at: datetime | None = None
    """When it has to be renewed."""

    status: str = "active"
    """`active`, or why it cannot be used."""

    root_resource_id: str | None = None
    """What it is connected with there."""

    root_resource_name: str | None = None
    """The name of that, for people."""

    scopes: list[str] = []
    """What it may do there."""
