"""Passing requests on to an app that runs, and its answers back."""

from collections.abc import Iterable

from aiohttp import web

from moorage.plugin import Reply

# What belongs to the connection between a client and the emulator, or is made anew.
_OF_REQUESTS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OF_REPLIES = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "server",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)


def forwarded(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the headers of a request that an app is to see."""
    return {name: value for name, value in headers if name.lower() not in _OF_REQUESTS}


def answer_of(reply: Reply) -> web.Response:
    """Return what an app has answered, for the client of the emulator."""
    response = web.Response(status=reply.status, body=reply.content)
    response.headers.popall("Content-Type", None)  # the app says itself what it gives
    for name, value in reply.headers:
        if name.lower() not in _OF_REPLIES:
            response.headers.add(name, value)
    return response
