"""The HTTP client."""

import re
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from ..._clock import Clock, SystemClock
from ..._closing import Closing
from ..._redaction import Redactor, clean_url
from ...errors import ConfigError, DecodeError, Retry
from .._progress import Progress
from ._address import Address, SignedUrl
from ._auth import Auth, Credentials
from ._call import Call, Wire
from ._deadline import Deadline, check_seconds
from ._options import HttpOptions
from ._pools import Pools
from ._request import Request, RequestMaker, RequestOptions
from ._response import Response, ResponseStream, decode, empty_error, read_limited

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

    from ._cancellation import Cancellation
    from ._download import Downloaded
    from ._failure import Refine
    from ._query import Query, QueryStyle

T = TypeVar("T")
D = TypeVar("D")

_NO_PARAMETERS: Mapping[str, str | int] = MappingProxyType({})
_REQUIRED: Any = object()


class HttpClient(Closing):
    """Sends requests to one server and decodes what it answers; for any number of threads.

    A call is made of a method, a path template with its parameters, and keywords:

        client.call("GET", "/api/deployments/{name}", {"name": name}, returns=WireDeployment)

    Every value is quoted where it belongs. Nothing is sent that is not complete and legal. A
    failure raises one of `moorage.errors`; a request that is safe to repeat, or that never left
    this machine, is repeated first. Connections are kept open and shared until `close`.

    Args:
        base_url: Where paths begin: scheme, host and possibly a prefix.
        auth: Proves who calls; for requests to the origin of `base_url` and no other.
        headers: Sent with every request, except to a `SignedUrl`.
        options: Time limits, repetition, TLS and proxies.
        query_style: How this API writes `None` and truth values in queries.
        refine: Knows the API's refusals better than their status does.
        user_agent: What to call ourselves.
        clock: The time.
        redactor: Learns the credentials, and cleans what servers say before it is shown.

    Raises:
        ConfigError: The URL, a proxy, a file or a credential cannot be used, or the credential
            would travel without TLS.
        InvalidRequestError: A header cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        headers: Mapping[str, str] | None = None,
        options: HttpOptions | None = None,
        query_style: "QueryStyle | None" = None,
        refine: "Refine | None" = None,
        user_agent: str = "moorage",
        clock: Clock | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        options = options or HttpOptions()
        redactor = redactor or Redactor()
        base = base_address(base_url)
        if auth is not None and not (
            base.origin.encrypted or base.origin.loopback or options.allow_plain_http
        ):
            raise ConfigError(
                f"the credentials would travel to {base.origin.host} without TLS",
                hint="use https://, or set allow_plain_http where the network may be trusted",
            )
        self._wire = Wire(
            pools=Pools(options),
            options=options,
            clock=clock or SystemClock(),
            redactor=redactor,
            refine=refine,
        )
        self._origin = base.origin
        self._maker = RequestMaker(
            base,
            credentials=Credentials(auth, redactor),
            headers=headers or {},
            user_agent=user_agent,
            options=options,
            query_style=query_style,
        )

    @overload
    def call(
        self,
        method: str,
        target: str | SignedUrl,
        parameters: Mapping[str, str | int] = ...,
        /,
        *,
        returns: None = None,
        **options: Unpack[RequestOptions],
    ) -> None: ...

    @overload
    def call(
        self,
        method: str,
        target: str | SignedUrl,
        parameters: Mapping[str, str | int] = ...,
        /,
        *,
        returns: type[T],
        **options: Unpack[RequestOptions],
    ) -> T: ...

    @overload
    def call(
        self,
        method: str,
        target: str | SignedUrl,
        parameters: Mapping[str, str | int] = ...,
        /,
        *,
        returns: type[T],
        empty: D,
        **options: Unpack[RequestOptions],
    ) -> T | D: ...

    def call(
        self,
        method: str,
        target: str | SignedUrl,
        parameters: Mapping[str, str | int] = _NO_PARAMETERS,
        /,
        *,
        returns: Any = None,
        empty: Any = _REQUIRED,
        **options: Unpack[RequestOptions],
    ) -> Any:
        """Send a request and return its reply's body; `send` describes everything."""
        return self.send(
            method, target, parameters, returns=returns, empty=empty, **options
        ).content

    @overload
    def send(
        self,
        method: str,
        target: str | SignedUrl,
        parameters: Mapping[str, str | int] = ...,
        /,
        *,
        returns: None = None,
        **options: Unpack[RequestOptions],
    ) -> Response[None]: ...

    @overload
    def send(
        self,
        method: str,
        target: str | SignedUrl,
        parameters: Mapping[str, str | int] = ...,
        /,
        *,
        returns: type[T],
        **options: Unpack[RequestOptions],
    ) -> Response[T]: ...

    @overload
    def send(
        self,
        method: str,
        target: str | SignedUrl,
        parameters: Mapping[str, str | int] = ...,
        /,
        *,
        returns: type[T],
        empty: D,
        **options: Unpack[RequestOptions],
    ) -> Response[T | D]: ...

    def send(
        self,
        method: str,
        target: str | SignedUrl,
        parameters: Mapping[str, str | int] = _NO_PARAMETERS,
        /,
        *,
        returns: Any = None,
        empty: Any = _REQUIRED,
        **options: Unpack[RequestOptions],
    ) -> Response[Any]:
        """Send a request and return its reply, with the body decoded.

        Args:
            method: In upper case.
            target: A path template, or a URL that needs no credentials.
            parameters: A value for each field of the template.
            returns: What the body is: a type that JSON is decoded into, `bytes` for the body as
                it is, or `None` to throw it away.
            empty: What to return for an empty body, of which a 204 is one; without it, an empty
                body is an error where `returns` is to be decoded from JSON.
            options: As `RequestOptions` describes them.

        Raises:
            InvalidRequestError: Something cannot be sent, and nothing was; or the server says so.
            UnavailableError: The server cannot be reached, was lost, or says that it cannot.
            TimedOutError: The time is over.
            DecodeError: The reply cannot be understood.
            OperationCancelledError: It was ended from another thread.
            MoorageError: Any other, as the status of the reply and the provider have it.
        """
        request = self._maker.make(method, target, parameters, **options)

        def finish(raw: "BaseHTTPResponse") -> Response[Any]:
            body = read_limited(raw, self._wire.options.max_reply_bytes)
            content = self._decoded(request, raw, body, returns, empty)
            return Response(status=raw.status, headers=raw.headers, content=content)

        return Call(self._wire, request).run(finish)

    def stream(
        self,
        method: str,
        target: str | SignedUrl,
        parameters: Mapping[str, str | int] = _NO_PARAMETERS,
        /,
        **options: Unpack[RequestOptions],
    ) -> ResponseStream:
        """Send a request and return its reply as a stream, once its head is there.

        The whole call has no time limit unless one is given; between two pieces at most
        `read_timeout` may pass. The stream holds a connection until it is read or closed.

        Args:
            method: In upper case.
            target: As for `send`.
            parameters: As for `send`.
            options: As `RequestOptions` describes them.

        Raises:
            MoorageError: As for `send`.
        """
        options.setdefault("timeout", None)
        return Call(self._wire, self._maker.make(method, target, parameters, **options)).stream()

    def download(
        self,
        target: str | SignedUrl | Callable[[], SignedUrl],
        destination: Path,
        parameters: Mapping[str, str | int] = _NO_PARAMETERS,
        /,
        *,
        size_bytes: int | None = None,
        digest: str | None = None,
        query: "Query | None" = None,
        progress: Progress | None = None,
        timeout: float | None = None,
        cancellation: "Cancellation | None" = None,
    ) -> "Downloaded":
        """Download to a file, which is made or replaced once all of it is there and right.

        A lost connection is resumed where the server can tell that the object is still the same
        one, and else begun anew.

        Args:
            target: A path template, a signed URL, or what makes a signed URL for each connection.
            destination: The file; its directory must exist.
            parameters: A value for each field of the template.
            size_bytes: What its size must be.
            digest: What its digest must be, `"sha256:<hex>"`; `"sha256"` only computes it.
            query: Parameters of the query.
            progress: Told bytes done and in total; begins anew where the download does.
            timeout: Seconds for everything; by default it takes as long as bytes arrive.
            cancellation: Ends it from another thread.

        Raises:
            IntegrityError: It is damaged, or was changed on the server meanwhile.
            QuotaError: There is no room for it.
            InvalidRequestError: The file cannot be written.
            MoorageError: As for `send`.
        """
        from ._download import Download

        check_seconds("timeout", timeout)

        def open_(
            headers: Mapping[str, str], success: Container[int], left: float | None
        ) -> ResponseStream:
            options: RequestOptions = {"headers": headers, "success": success, "timeout": left}
            if query is not None:
                options["query"] = query
            if cancellation is not None:
                options["cancellation"] = cancellation
            where = target() if callable(target) else target
            return self.stream("GET", where, parameters, **options)

        wire = self._wire
        return Download(
            open_,
            destination,
            size_bytes=size_bytes,
            digest=digest,
            progress=progress,
            retry=wire.options.retry,
            deadline=Deadline(wire.clock, timeout),
            clock=wire.clock,
            cancellation=cancellation,
        ).run()

    def close(self) -> None:
        """Release every connection, also of calls that are under way; a second time does nothing.

        Such calls raise `OperationCancelledError`, later ones `UnavailableError`.
        """
        self._wire.close()

    def __repr__(self) -> str:
        return f"<HttpClient {self._origin}>"

    def _decoded(
        self,
        request: Request,
        raw: "BaseHTTPResponse",
        body: bytes | None,
        returns: Any,
        empty: Any,
    ) -> Any:
        if body is not None:
            if returns is None:
                return None
            if not body and empty is not _REQUIRED:
                return empty
            if returns is bytes:
                return body
        try:
            return self._parsed(request, raw, body, returns)
        except DecodeError as exc:
            exc.status = raw.status
            if not request.repeatable:
                exc.retry = Retry.UNKNOWN_OUTCOME  # it was done, and what came of it is not known
            raise

    def _parsed(
        self, request: Request, raw: "BaseHTTPResponse", body: bytes | None, returns: Any
    ) -> Any:
        if body is None:
            limit = self._wire.options.max_reply_bytes
            raise DecodeError(
                f"{request.what}: the reply is longer than {limit} bytes",
                hint="read it as a stream",
            )
        if not body:
            raise empty_error(request.what, raw.status)
        return decode(
            body,
            returns,
            what=request.what,
            headers=raw.headers,
            redactor=self._wire.redactor,
        )


def base_address(url: str) -> Address:
    """Return where paths begin.

    Raises:
        ConfigError: It is no such URL.
    """
    try:
        base = Address.parse(url)
    except ValueError as exc:
        raise _unusable(url, str(exc)) from None
    if base.query or "#" in url:
        raise _unusable(url, "it has a query or a fragment")
    return base


def _unusable(url: str, reason: str) -> ConfigError:
    shown = re.split(r"[?#]", clean_url(url), maxsplit=1)[0]
    return ConfigError(
        f"the endpoint {shown!r} cannot be used: {reason}",
        hint="write it as https://HOST, https://HOST:PORT or https://HOST/PREFIX",
    )
