"""One request, checked and ready to be sent."""

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from ...errors import InvalidRequestError
from .._progress import Progress
from ._address import Address, Origin, SignedUrl
from ._auth import Credentials
from ._deadline import check_seconds
from ._headers import check_headers, merged
from ._options import HttpOptions
from ._path import path_template

if TYPE_CHECKING:
    from ._cancellation import Cancellation
    from ._content import Content, Data
    from ._query import Query, QueryStyle

SUCCESS: Container[int] = range(200, 300)
"""What counts as success where a call does not say it more precisely."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing, so that they may be repeated."""

_BODY_EXPECTED = frozenset({"POST", "PUT", "PATCH"})
_METHODS = SAFE_METHODS | _BODY_EXPECTED | {"DELETE"}  # CONNECT and TRACE mean something else


class RequestOptions(TypedDict, total=False):
    """The keywords that every kind of call takes."""

    query: "Query"
    """Parameters of the query; `QueryStyle` says how values are written."""

    json: Any
    """A body: anything that msgspec encodes, `None` among them."""

    data: "Data"
    """A body: bytes, a path, an open binary file, an iterable of bytes, or a form."""

    content_type: str
    """Of the body; by default `application/json` for JSON, the form's own, and else none."""

    headers: Mapping[str, str]
    """Further headers; they win over the client's."""

    success: Container[int]
    """Statuses that are not errors; by default 200 to 299."""

    repeatable: bool
    """Whether the request may be sent twice without harm; by default GET, HEAD, OPTIONS may."""

    timeout: float | None
    """Seconds for the whole call; `None` does not limit it."""

    progress: Progress
    """To be told how much of the body was sent; it begins anew with each attempt."""

    cancellation: "Cancellation"
    """Ends the call from another thread."""


class Request:
    """What is sent, the same for every attempt.

    Attributes:
        method: In upper case.
        address: Where to.
        template: The path as it stands in the code.
        headers: All of them, credentials included, but `Host`.
        content: The body.
        own: Whether it goes to the client's own origin, and so with its credentials.
        success: Statuses that are not errors.
        repeatable: Whether it may be sent twice without harm.
        timeout: Seconds for the whole call.
        cancellation: Ends it.
    """

    __slots__ = (
        "address",
        "cancellation",
        "content",
        "headers",
        "method",
        "own",
        "repeatable",
        "success",
        "template",
        "timeout",
    )

    def __init__(
        self,
        method: str,
        address: Address,
        *,
        template: str,
        headers: dict[str, str],
        content: "Content | None",
        own: bool,
        success: Container[int],
        repeatable: bool,
        timeout: float | None,
        cancellation: "Cancellation | None",
    ) -> None:
        self.method = method
        self.address = address
        self.template = template
        self.headers = headers
        self.content = content
        self.own = own
        self.success = success
        self.repeatable = repeatable
        self.timeout = timeout
        self.cancellation = cancellation

    @property
    def what(self) -> str:
        """The request in words, without its query."""
        return f"{self.method} {self.address.path}"

    def redirected(self, address: Address, headers: dict[str, str], *, own: bool) -> "Request":
        """Return the same request to another address."""
        return Request(
            self.method,
            address,
            template=self.template if own else address.path,
            headers=headers,
            content=None,
            own=own,
            success=self.success,
            repeatable=self.repeatable,
            timeout=self.timeout,
            cancellation=self.cancellation,
        )

    def __repr__(self) -> str:
        return f"<Request {self.what}>"


class RequestMaker:
    """Makes requests of what a caller says, refusing what cannot be sent."""

    def __init__(
        self,
        base: Address,
        *,
        credentials: Credentials,
        headers: Mapping[str, str],
        user_agent: str,
        options: HttpOptions,
        query_style: "QueryStyle | None",
    ) -> None:
        self._origin: Origin = base.origin
        self._prefix = base.path.rstrip("/")
        self._options = options
        self._query_style = query_style
        self._bare = {
            "User-Agent": user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "gzip",
        }
        check_headers(self._bare)
        self._credentials = credentials
        self._proof: Mapping[str, str] = {}
        self._plain = merged(self._bare, check_headers(headers))
        self._own = self._plain

    def make(
        self,
        method: str,
        target: str | SignedUrl,
        parameters: Mapping[str, str | int],
        *,
        query: "Query | None" = None,
        json: Any = UNSET,
        data: "Data | None" = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        success: Container[int] = SUCCESS,
        repeatable: bool | None = None,
        timeout: float | UnsetType | None = UNSET,
        progress: Progress | None = None,
        cancellation: "Cancellation | None" = None,
    ) -> Request:
        """Return the request; `RequestOptions` describes the keywords.

        Raises:
            InvalidRequestError: Something of it cannot be sent.
        """
        if method not in _METHODS:
            raise InvalidRequestError(f"{method!r} is not a method that can be sent")
        if isinstance(target, SignedUrl):
            if query or parameters:
                raise InvalidRequestError("a signed URL takes no parameters: it is signed as it is")
            address, template, own = target.address, target.address.path, False
            fields = dict(self._bare)
            self._check_protected(address.origin)
        else:
            path = path_template(target).render(parameters)
            search = self._search(query) if query else ""
            address = Address(self._origin, f"{self._prefix}{path}", search)
            template, own = f"{self._prefix}{target}", True
            fields = self._own_headers()
        content: Content | None = None
        held = True
        if json is not UNSET or data is not None:
            content, held = self._content(fields, json, data, content_type, progress)
        elif content_type is not None:
            check_headers({"Content-Type": content_type})
            fields["Content-Type"] = content_type
        if headers:
            fields = merged(fields, check_headers(headers))
        if content is not None:
            length = content.length
            if length is None:
                fields["Transfer-Encoding"] = "chunked"
            else:
                fields["Content-Length"] = str(length)
        elif method in _BODY_EXPECTED:
            fields["Content-Length"] = "0"
        if timeout is UNSET:
            timeout = self._options.timeout if held else None
        else:
            check_seconds("timeout", timeout)
        return Request(
            method,
            address,
            template=template,
            headers=fields,
            content=content,
            own=own,
            success=success,
            repeatable=method in SAFE_METHODS if repeatable is None else repeatable,
            timeout=timeout,
            cancellation=cancellation,
        )

    def _own_headers(self) -> dict[str, str]:
        """Return what goes to the client's own server."""
        proof = self._credentials.headers()
        if proof is not self._proof:
            self._own = merged(self._plain, proof)
            self._proof = proof
        return dict(self._own)

    def _content(
        self,
        fields: dict[str, str],
        json: Any,
        data: "Data | None",
        content_type: str | None,
        progress: Progress | None,
    ) -> "tuple[Content, bool]":
        """Return the body and whether it is in memory, and put its type among the headers."""
        from ._content import BytesContent, ReportedContent, content_of

        content: Content
        if data is None:
            content = BytesContent(encoded(json))
            content_type = content_type or "application/json"
        elif json is UNSET:
            content = content_of(data)
            content_type = content_type or getattr(content, "content_type", None)
        else:
            raise InvalidRequestError("a request has one body, either json or data")
        if content_type is not None:
            check_headers({"Content-Type": content_type})
            fields["Content-Type"] = content_type
        held = isinstance(content, BytesContent)
        return (content if progress is None else ReportedContent(content, progress)), held

    def _search(self, query: "Query") -> str:
        from ._query import QueryStyle, render_query

        if self._query_style is None:
            self._query_style = QueryStyle()
        return render_query(query, self._query_style)

    def _check_protected(self, origin: Origin) -> None:
        if not (origin.encrypted or origin.loopback or self._options.allow_plain_http):
            raise InvalidRequestError(
                f"a signed URL on {origin.host} would travel without TLS",
                hint="set allow_plain_http where the network may be trusted",
            )


def encoded(value: Any) -> bytes:
    """Return a value as JSON.

    Raises:
        InvalidRequestError: It cannot be written as JSON.
    """
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, UnicodeEncodeError, RecursionError) as exc:
        raise InvalidRequestError(
            f"the body cannot be written as JSON: {exc}",
            hint="it may hold text, numbers, truth values, times, lists, mappings and structs",
        ) from exc
