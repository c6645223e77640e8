"""The paths of what is published on a site, and of connections."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from .._incoming import Malformed, query_number, read_form
from .._object_store import ObjectStore
from .errors import RefusalError, answer, invalid
from .fields import body_of, file_of, meta_of, short_text, tags_of
from .pages import page_of
from .resources import found
from .state_site import SiteState

_ASSETS = "/admin/api/storefront-assets"
_CONNECTIONS = "/relay/api/v1/connections"


class SiteRoutes:
    """The handlers of those paths."""

    def __init__(self, state: SiteState, store: ObjectStore, origin: Callable[[], str]) -> None:
        self._state = state
        self._store = store
        self._origin = origin

    def add_to(self, application: web.Application) -> None:
        """Add all paths."""
        add = application.router.add_route
        for method, path, handler in (
            ("GET", _ASSETS, self._list),
            ("POST", _ASSETS, self._publish),
            # Before the path of one file, whose id this would be.
            ("GET", f"{_ASSETS}/search", self._search),
            ("GET", f"{_ASSETS}/{{id}}", self._asset),
            ("PATCH", f"{_ASSETS}/{{id}}", self._change),
            ("DELETE", f"{_ASSETS}/{{id}}", self._delete),
            ("GET", _CONNECTIONS, self._connections),
            ("GET", f"{_CONNECTIONS}/get-credentials", self._credentials),
        ):
            add(method, path, handler)

    async def _list(self, request: web.Request) -> web.Response:
        assets = self._state.find(
            request.query.get("mime_type"),
            text=request.query.get("q"),
            least=_bytes(request, "min_size"),
            most=_bytes(request, "max_size"),
            tags=request.query.get("tags"),
            ordering=request.query.get("ordering"),
        )
        return self._page(request, [self._state.shown(asset) for asset in assets])

    async def _search(self, request: web.Request) -> web.Response:
        assets = self._state.find(request.query.get("asset_type"), text=request.query.get("q"))
        return self._page(request, [self._state.shown(asset) for asset in assets])

    async def _publish(self, request: web.Request) -> web.Response:
        async with read_form(request, self._store.receive, "file", "image") as form:
            texts = form.texts
            if not texts.get("name"):
                raise invalid(name="This field is required.")
            is_image = "image" in form.files
            file = file_of(form, "image" if is_image else "file")
            kind = "video" if file.content_type.startswith("video/") else "document"
            asset = self._state.publish(
                "image" if is_image else kind,
                file.content,
                mime_type=file.content_type,
                name=short_text(texts, "name", 255),
                alt_text=texts.get("alt_text", ""),
                tags=tags_of(texts),
                description=texts.get("description"),
                meta=meta_of(texts["meta"]) if "meta" in texts else None,
            )
            return answer(self._state.shown(asset), 201)

    async def _asset(self, request: web.Request) -> web.Response:
        return answer(self._state.shown(found(self._state.assets, request.match_info["id"])))

    async def _change(self, request: web.Request) -> web.Response:
        asset = self._state.change(request.match_info["id"], await body_of(request))
        return answer(self._state.shown(asset))

    async def _delete(self, request: web.Request) -> web.Response:
        self._state.delete(request.match_info["id"])
        return web.Response(status=204)

    async def _connections(self, request: web.Request) -> web.Response:
        return self._page(request, self._state.shown_connections())

    async def _credentials(self, request: web.Request) -> web.Response:
        return answer(self._state.credentials(request.query.get("provider", "")))

    def _page(self, request: web.Request, items: list[Any]) -> web.Response:
        return page_of(request, items, self._origin())


def _bytes(request: web.Request, name: str) -> int | None:
    try:
        return query_number(request, name)
    except Malformed as exc:
        raise RefusalError(400, {name: ["Enter a number."]}) from exc
