"""The HTTP and the WebSocket client that provider packages are written on.

It is light to import; urllib3, ssl and websocket-client are loaded with the first request.
"""

from ._address import SignedUrl
from ._auth import Auth, BasicAuth, HeaderAuth
from ._cancellation import Cancellation
from ._client import HttpClient
from ._content import Content, Data, DigestedContent, FileContent, HandleContent, StreamContent
from ._download import Downloaded
from ._failure import Failure, Refine
from ._form import FileField, Form, TextField
from ._log_stream import WebSocketLogStream
from ._options import HttpOptions, HttpSettings
from ._parts import Part, PartStore, upload_parts
from ._query import Query, QueryStyle
from ._request import RequestOptions
from ._response import Response, ResponseStream
from ._retry import RetryPolicy
from ._websocket import WebSocket, WebSocketClient, WebSocketOptions

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
