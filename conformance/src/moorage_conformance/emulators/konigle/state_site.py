"""What the emulated cloud publishes on a site, and what it is connected with."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from moorage.plugin import Clock

from .._object_store import ObjectStore
from .._stored_object import StoredObject
from .errors import invalid, not_found
from .resources import found, stamp

KINDS = ("image", "video", "document")
ORDERINGS = ("created_at", "-created_at", "updated_at", "-updated_at")
_CHANGEABLE = {"name": str, "alt_text": str, "tags": list, "description": str, "meta": dict}


class Asset(msgspec.Struct, kw_only=True):
    """One published file."""

    id: str
    kind: str
    mime_type: str
    name: str
    alt_text: str
    size: int
    tags: list[str]
    description: str | None
    meta: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime

    def has(self, text: str) -> bool:
        """Whether a text occurs in what is said about it."""
        said = (self.name, self.alt_text, self.description or "", *self.tags)
        return any(text.lower() in words.lower() for words in said)


class SiteState:
    """Published files and connections.

    Attributes:
        assets: The files, by their ids.
        connections: The credentials of connections, by the codes of their providers.
    """

    def __init__(self, clock: Clock, new_id: Callable[[], str], store: ObjectStore) -> None:
        self.assets: dict[str, Asset] = {}
        self.connections: dict[str, dict[str, str]] = {}
        self._clock = clock
        self._new_id = new_id
        self._store = store
        self._begun_at = clock.now()

    def publish(self, kind: str, content: StoredObject, **fields: Any) -> Asset:
        """Keep a file."""
        now = self._clock.now()
        asset = Asset(
            id=self._new_id(),
            kind=kind,
            size=content.size,
            created_at=now,
            updated_at=now,
            **fields,
        )
        self.assets[asset.id] = asset
        self._store.keep(asset.id, content)
        return asset

    def change(self, id_: str, body: Mapping[str, Any]) -> Asset:
        """Change what is said about a file."""
        asset: Asset = found(self.assets, id_)
        for field, value in body.items():
            kind = _CHANGEABLE.get(field)
            if kind is None:
                raise invalid(**{field: "This field cannot be changed."})
            if not isinstance(value, kind):
                raise invalid(**{field: "Not a valid value."})
        for field, value in body.items():
            setattr(asset, field, value)
        asset.updated_at = self._clock.now()
        return asset

    def delete(self, id_: str) -> None:
        """Delete a file."""
        found(self.assets, id_)
        del self.assets[id_]
        self._store.delete(id_)

    def find(
        self,
        kind: str | None,
        *,
        text: str | None = None,
        least: int | None = None,
        most: int | None = None,
        tags: str | None = None,
        ordering: str | None = None,
    ) -> list[Asset]:
        """Return the files that filters let through."""
        if kind not in (None, *KINDS):
            raise invalid(mime_type=f'"{kind}" is not a valid choice.')
        if ordering not in (None, *ORDERINGS):
            raise invalid(ordering=f'"{ordering}" is not a valid choice.')
        wanted = {tag.strip() for tag in (tags or "").split(",") if tag.strip()}
        chosen = [
            asset
            for asset in self.assets.values()
            if kind in (None, asset.kind)
            and asset.has(text or "")
            and asset.size >= (least or 0)
            and (most is None or asset.size <= most)
            and wanted <= set(asset.tags)
        ]
        if ordering:
            field = ordering.removeprefix("-")
            chosen.sort(key=lambda asset: getattr(asset, field), reverse=ordering[0] == "-")
        return chosen

    def shown(self, asset: Asset) -> dict[str, Any]:
        """Return a file as it is seen."""
        shown = {
            "id": asset.id,
            "name": asset.name,
            "mime_type": asset.mime_type,
            "alt_text": asset.alt_text,
            "size": asset.size,
            "asset_url": self._store.sign("GET", asset.id),
            "tags": asset.tags,
            "description": asset.description,
            "meta": asset.meta,
            "created_at": stamp(asset.created_at),
            "updated_at": stamp(asset.updated_at),
        }
        if asset.kind == "image":
            shown |= {"image_width": None, "image_height": None}
        return shown

    def shown_connections(self) -> list[dict[str, Any]]:
        """Return the connections as they are seen."""
        begun = stamp(self._begun_at)
        return [
            {
                "id": provider,
                "provider": provider,
                "status": "active",
                "scopes": [],
                "token_expires_at": None,
                "root_resource_id": None,
                "root_resource_name": None,
                "created_at": begun,
                "updated_at": begun,
            }
            for provider in self.connections
        ]

    def credentials(self, provider: str) -> dict[str, str]:
        """Return the credentials of a connection."""
        if provider not in self.connections:
            raise not_found()
        return self.connections[provider]
