"""One request to the API, as its handlers see it."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .._incoming import Form, json_object, query_number, query_text, read_form
from .errors import ApiError, bad_request

if TYPE_CHECKING:
    from .state import World

Handler = Callable[["Call"], Awaitable[Any]]
"""Answers a call: with what becomes JSON, or with a whole response."""

Route = tuple[str, str, Handler]
"""A method, a path and who answers."""

_TRUE = frozenset({"true", "1"})
_FALSE = frozenset({"false", "0"})


class Call:
    """A request and the world that it is about."""

    def __init__(self, world: "World", request: web.Request, parameters: Mapping[str, str]) -> None:
        self.world = world
        self.request = request
        self._parameters = parameters

    def __getitem__(self, name: str) -> str:
        """Return a part of the path."""
        return self._parameters[name]

    def get(self, name: str, default: str) -> str:
        """Return a part of the path that not every route has."""
        return self._parameters.get(name, default)

    def text(self, name: str) -> str | None:
        """Return a parameter of the query; an empty one counts as absent."""
        return query_text(self.request, name)

    def number(self, name: str, default: int, least: int = 0, most: int = 1000) -> int:
        """Return a whole number of the query."""
        found = query_number(self.request, name, least=least, most=most)
        return default if found is None else found

    def flag(self, name: str) -> bool:
        """Return a truth value of the query, in any of the spellings that clients use."""
        text = (self.text(name) or "false").lower()
        if text not in _TRUE | _FALSE:
            raise bad_request(f"{name} must be true or false")
        return text in _TRUE

    def moment(self, name: str) -> datetime | None:
        """Return a moment of the query, which is UTC with or without a `Z`."""
        text = self.text(name)
        return None if text is None else self.moment_of(name, text)

    @staticmethod
    def moment_of(name: str, text: str) -> datetime:
        """Return a moment that is written as text, which is UTC with or without a `Z`."""
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise bad_request(f"{name} is not a time: {text}") from None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    async def body(self, *, optional: bool = False) -> dict[str, Any]:
        """Return the JSON object that was sent; an empty one for no body where that is allowed."""
        content = await self.request.read()
        if not content and optional:
            return {}
        return json_object(content)

    def form(self, *files: str) -> AbstractAsyncContextManager[Form]:
        """Read a multipart body, in which parts of these names are files."""
        return read_form(self.request, self.world.store.receive, *files)


def text_of(body: Mapping[str, Any], name: str, *, empty: bool = False) -> str:
    """Return a text that must be there."""
    value = body.get(name)
    if not isinstance(value, str) or not (value or empty):
        raise bad_request(f"{name} is required", field=name)
    return value


def optional_text(body: Mapping[str, Any], name: str) -> str | None:
    """Return a text that may be missing or null."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise bad_request(f"{name} is not a text", field=name)
    return value


def texts_of(body: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return a mapping of texts; missing and null are empty ones."""
    value = body.get(name) or {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise bad_request(f"{name} must be an object of strings", field=name)
    return dict(value)


def number_of(
    body: Mapping[str, Any], name: str, default: int, least: int = 0, most: int = 300
) -> int:
    """Return a whole number; numbers written as text count too."""
    value = body.get(name, default)
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise bad_request(f"{name} must be between {least} and {most}", field=name)
    return value


def flag_of(body: Mapping[str, Any], name: str, default: bool) -> bool:  # noqa: FBT001  # as its siblings
    """Return a truth value; the documentation writes it as text."""
    value = body.get(name, default)
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        value = value.lower() in _TRUE
    if not isinstance(value, bool):
        raise bad_request(f"{name} must be true or false", field=name)
    return value


def page_of(call: Call, items: list[Any], default_limit: int) -> tuple[list[Any], int, int]:
    """Return one page of a listing that goes by `offset` and `limit`, and these two."""
    offset = call.number("offset", 0, most=1_000_000)
    limit = call.number("limit", default_limit, least=1)
    return items[offset : offset + limit], offset, limit


def listed(call: Call, noun: str, items: list[Any]) -> dict[str, Any]:
    """Return one page of a listing that tells whether there is more."""
    page, offset, limit = page_of(call, items, 50)
    more = offset + len(page) < len(items)
    told = {noun: page, "offset": offset, "limit": limit, "has_next": more}
    return {**call.world.envelope, **told}


def without_archived(call: Call, items: list[Any]) -> list[Any]:
    """Leave archived things out where the query asks for that."""
    wanted = call.text("filter_archived")
    if wanted not in {None, "exclude_archived", "include_archived"}:
        raise ApiError(400, "filter_archived must be exclude_archived or include_archived")
    if wanted == "exclude_archived":
        return [item for item in items if not item["archived"]]
    return items
