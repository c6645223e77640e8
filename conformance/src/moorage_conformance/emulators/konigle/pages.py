"""Lists, in pages."""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from .._incoming import Malformed, query_number
from .errors import RefusalError, answer

_LARGEST = 200


def page_of(request: web.Request, items: list[Any], origin: str) -> web.Response:
    """Return the page that is asked for.

    Args:
        request: Says which page, and how large pages are.
        items: All of them.
        origin: Of the API, for the addresses of the pages beside.

    Raises:
        RefusalError: There is no such page.
    """
    page = _number(request, "page", 1)
    size = min(_number(request, "page_size", 20), _LARGEST)
    pages = max(1, -(-len(items) // size))
    if page > pages:
        raise RefusalError(404, {"detail": "Invalid page."})

    def link(number: int) -> str | None:
        if not 1 <= number <= pages:
            return None
        query = {**request.query, "page": str(number), "page_size": str(size)}
        return f"{origin}{request.path}?{urlencode(query)}"

    return answer(
        {
            "count": len(items),
            "next": link(page + 1),
            "previous": link(page - 1),
            "payload": items[(page - 1) * size : page * size],
            "num_pages": pages,
        }
    )


def _number(request: web.Request, name: str, default: int) -> int:
    try:
        return query_number(request, name, least=1) or default
    except Malformed as exc:
        raise RefusalError(404, {"detail": "Invalid page."}) from exc
