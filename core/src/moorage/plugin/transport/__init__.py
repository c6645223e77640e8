"""The HTTP and the WebSocket client that provider packages are written on.

It is light to import: each name is loaded when it is first used, urllib3, ssl and websocket-client
with the first request.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._address import SignedUrl
    from ._auth import Auth, BasicAuth, HeaderAuth
    from ._cancellation import Cancellation
    from ._client import HttpClient
    from ._content import Content, Data, DigestedContent, FileContent, HandleContent, StreamContent
    from ._download import Downloaded
    from ._failure import Failure, Refine
    from ._form import FileField, Form, TextField
    from ._log_stream import WebSocketLogStream
    from ._options import HttpOptions
    from ._parts import Part, PartStore, upload_parts
    from ._query import Query, QueryStyle
    from ._request import RequestOptions
    from ._response import Response, ResponseStream
    from ._retry import RetryPolicy
    from ._settings import HttpSettings
    from ._websocket import WebSocket, WebSocketClient, WebSocketOptions

# Where each name lives. A program that makes one call starts a sixth faster without the rest.
_HOMES = {
    "Auth": "._auth",
    "BasicAuth": "._auth",
    "Cancellation": "._cancellation",
    "Content": "._content",
    "Data": "._content",
    "DigestedContent": "._content",
    "Downloaded": "._download",
    "Failure": "._failure",
    "FileContent": "._content",
    "FileField": "._form",
    "Form": "._form",
    "HandleContent": "._content",
    "HeaderAuth": "._auth",
    "HttpClient": "._client",
    "HttpOptions": "._options",
    "HttpSettings": "._settings",
    "Part": "._parts",
    "PartStore": "._parts",
    "Query": "._query",
    "QueryStyle": "._query",
    "Refine": "._failure",
    "RequestOptions": "._request",
    "Response": "._response",
    "ResponseStream": "._response",
    "RetryPolicy": "._retry",
    "SignedUrl": "._address",
    "StreamContent": "._content",
    "TextField": "._form",
    "WebSocket": "._websocket",
    "WebSocketClient": "._websocket",
    "WebSocketLogStream": "._log_stream",
    "WebSocketOptions": "._websocket",
    "upload_parts": "._parts",
}

__all__ = [
    "Auth",
    "BasicAuth",
    "Cancellation",
    "Content",
    "Data",
    "DigestedContent",
    "Downloaded",
    "Failure",
    "FileContent",
    "FileField",
    "Form",
    "HandleContent",
    "HeaderAuth",
    "HttpClient",
    "HttpOptions",
    "HttpSettings",
    "Part",
    "PartStore",
    "Query",
    "QueryStyle",
    "Refine",
    "RequestOptions",
    "Response",
    "ResponseStream",
    "RetryPolicy",
    "SignedUrl",
    "StreamContent",
    "TextField",
    "WebSocket",
    "WebSocketClient",
    "WebSocketLogStream",
    "WebSocketOptions",
    "upload_parts",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    value = getattr(importlib.import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
