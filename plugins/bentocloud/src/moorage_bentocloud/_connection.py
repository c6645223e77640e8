"""The one connection to BentoCloud's API that all parts of the client share."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack
from urllib.parse import urlsplit

import msgspec

from moorage.errors import NotFoundError
from moorage.plugin import Clock, Redactor, SecretValue
from moorage.plugin.transport import HeaderAuth, HttpClient, QueryStyle

from . import _reply
from ._errors import refine
from ._schema import body_of

if TYPE_CHECKING:
    from moorage.plugin.transport import HttpOptions, Query, RequestOptions, WebSocketClient

T = TypeVar("T")

VERSION = "1.4.40"
"""The client of the API that this one is as good as; the service may answer by it."""

Parameters = Mapping[str, str | int]


class AskOptions(TypedDict, total=False):
    """The keywords of a request."""

    query: "Query"
    """Parameters of the query; `None` is sent as an empty one."""

    schema: tuple[Any, type[msgspec.Struct]] | None
    """What the caller gave as the body, and what it has to be."""

    repeatable: bool
    """Whether it may be sent twice without harm; by default a GET may."""

    timeout: float
    """Seconds, instead of the client's own."""


class Connection:
    """Sends requests to the API and reads what it answers; for any number of threads.

    Attributes:
        endpoint: The API's address.
        options: How it behaves.
        clock: The time.
        redactor: What must not be seen.
        user_agent: What it calls itself.
    """

    def __init__(
        self,
        endpoint: str,
        token: SecretValue,
        *,
        options: "HttpOptions",
        clock: Clock,
        redactor: Redactor,
        user_agent: str,
    ) -> None:
        self.endpoint = endpoint
        self.options = options
        self.clock = clock
        self.redactor = redactor
        self.user_agent = user_agent
        self._auth = HeaderAuth("X-YATAI-API-TOKEN", token)
        self._headers = {"X-Bentoml-Version": VERSION}
        self.http = HttpClient(
            endpoint,
            auth=self._auth,
            headers=self._headers,
            options=options,
            query_style=QueryStyle(null=""),
            refine=refine,
            user_agent=user_agent,
            clock=clock,
            redactor=redactor,
        )
        self._lock = threading.Lock()
        self._sockets: WebSocketClient | None = None
        self._on_close: list[Callable[[], None]] = []
        self._closed = False

    def ask(
        self,
        method: str,
        path: str,
        parameters: Parameters,
        returns: type[T],
        **options: Unpack[AskOptions],
    ) -> T:
        """Send a request and return its reply.

        Args:
            method: In upper case.
            path: A path template.
            parameters: A value for each of its fields.
            returns: What the reply is.
            options: As `AskOptions` describes them.

        Raises:
            MoorageError: As `moorage.plugin.transport.HttpClient.send`.
        """
        body = self.http.call(method, path, parameters, returns=bytes, **_request(options))
        return _reply.decode(body, returns, f"{method} {path}")

    def find(
        self,
        method: str,
        path: str,
        parameters: Parameters,
        returns: type[T],
        **options: Unpack[AskOptions],
    ) -> T | None:
        """As `ask`, and `None` where there is no such thing."""
        try:
            return self.ask(method, path, parameters, returns, **options)
        except NotFoundError:
            return None

    def tell(
        self, method: str, path: str, parameters: Parameters, **options: Unpack[AskOptions]
    ) -> None:
        """As `ask`, and the reply's body has no meaning."""
        self.http.call(method, path, parameters, **_request(options))

    @property
    def sockets(self) -> "WebSocketClient":
        """The WebSockets, which live at the root of the host, whatever path the endpoint has."""
        with self._lock:
            if self._sockets is None:
                from moorage.plugin.transport import WebSocketClient

                parts = urlsplit(self.endpoint)
                self._sockets = WebSocketClient(
                    f"{parts.scheme}://{parts.netloc}",
                    auth=self._auth,
                    headers=self._headers,
                    options=self.options,
                    query_style=QueryStyle(null=""),
                    refine=refine,
                    user_agent=self.user_agent,
                    clock=self.clock,
                    redactor=self.redactor,
                )
                if self._closed:
                    self._sockets.close()
            return self._sockets

    def plain_client(self, base_url: str) -> HttpClient:
        """Return a client of another server, which gets no credential of this one's."""
        return HttpClient(
            base_url,
            options=self.options,
            user_agent=self.user_agent,
            clock=self.clock,
            redactor=self.redactor,
        )

    def on_close(self, close: Callable[[], None]) -> None:
        """Have something closed with the connection."""
        self._on_close.append(close)

    def close(self) -> None:
        """Release everything; a second time does nothing."""
        with self._lock:
            self._closed = True
            sockets = self._sockets
        self.http.close()
        if sockets is not None:
            sockets.close()
        while self._on_close:
            self._on_close.pop()()


def _request(options: AskOptions) -> "RequestOptions":
    request: RequestOptions = {}
    if options.get("query"):
        request["query"] = options["query"]
    schema = options.get("schema")
    if schema is not None:
        request["json"] = body_of(*schema)
    if "repeatable" in options:
        request["repeatable"] = options["repeatable"]
    if "timeout" in options:
        request["timeout"] = options["timeout"]
    return request
