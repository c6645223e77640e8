"""Refusals, in the shapes that the cloud answers with."""

import json
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from .._incoming import Malformed


class RefusalError(Exception):
    """Ends a request with a status and a body."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def not_found() -> RefusalError:
    """Return the answer for what does not exist, or belongs to another project."""
    return RefusalError(404, {"detail": "Not found."})


def conflict(detail: str) -> RefusalError:
    """Return the answer for what cannot be done now."""
    return RefusalError(409, {"detail": detail})


def invalid(**fields: str) -> RefusalError:
    """Return the answer for fields that are wrong, each with its sentence."""
    return RefusalError(400, {field: [text] for field, text in fields.items()})


def refused(detail: str) -> RefusalError:
    """Return the answer for a request that is wrong as a whole."""
    return RefusalError(400, {"detail": detail})


def not_allowed(method: str) -> RefusalError:
    """Return the answer for a call that the service does not offer."""
    return RefusalError(405, {"detail": f'Method "{method}" not allowed.'})


def answer(body: Any, status: int = 200) -> web.Response:
    """Return JSON, written as compactly as the service writes it."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return web.Response(body=text.encode(), status=status, content_type="application/json")


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what handlers and the framework refuse into the cloud's answers."""
    try:
        return await handler(request)
    except RefusalError as exc:
        return answer(exc.body, exc.status)
    except Malformed as exc:
        refusal = refused(str(exc))
    except web.HTTPMethodNotAllowed:
        refusal = not_allowed(request.method)
    except web.HTTPNotFound:
        refusal = not_found()
    except web.HTTPRequestEntityTooLarge:
        refusal = RefusalError(413, {"detail": "The file is too large."})
    return answer(refusal.body, refusal.status)


def keyed(key: str, word: str) -> Middleware:
    """Return what lets nobody in without the project's key.

    Args:
        key: The key.
        word: What stands before it.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization")
        if given is None:
            return answer({"detail": "Authentication credentials were not provided."}, 401)
        if given != f"{word} {key}":
            return answer({"detail": "Invalid token."}, 401)
        return await handler(request)

    return check
