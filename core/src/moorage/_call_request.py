"""The one request that a call of a deployment sends."""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from ._artifact import shown
from ._deployment import CallRequest
from ._json_value import check_json
from ._operations import check_timeout
from .errors import InvalidRequestError

UNSET: Final = msgspec.UNSET
"""A body that was not given, which is not the JSON value `null`."""

_METHOD = re.compile(r"[A-Z]{1,20}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def call_request(  # the arguments of `call`, one by one
    method: str,
    path: str,
    json: Any,
    data: bytes | str | None,
    content_type: str | None,
    headers: Mapping[str, str] | None,
    timeout: float,
) -> CallRequest:
    """Return the request that the arguments of `Deployments.call` describe.

    Raises:
        InvalidRequestError: One of them cannot be sent.
    """
    if not isinstance(method, str) or not _METHOD.fullmatch(method.upper()):
        raise InvalidRequestError(
            f"{shown(method)} is not an HTTP method", fields={"method": "not a method"}
        )
    if (
        not isinstance(path, str)
        or not path.startswith("/")
        or path.startswith("//")
        or not path.isprintable()
        or " " in path
        or not path.isascii()
        or urlsplit(path).fragment
    ):
        raise InvalidRequestError(
            f"{shown(path)} is not a path of the deployment",
            hint="begin with '/', and quote what is not a plain character",
            fields={"path": "not a path"},
        )
    check_timeout(timeout)
    body: bytes | None = None
    default_type = ""
    lines: list[tuple[str, str]] = []
    if json is not UNSET:
        if data is not None:
            raise InvalidRequestError("pass json or data, not both", fields={"data": "with json"})
        body = msgspec.json.encode(check_json(json, "json"))
        default_type = "application/json"
    elif isinstance(data, str):
        body, default_type = data.encode(), "text/plain; charset=utf-8"
    elif data is not None:
        body, default_type = bytes(data), "application/octet-stream"
    for name, value in (headers or {}).items():
        if (
            not isinstance(name, str)
            or not isinstance(value, str)
            or not _HEADER_NAME.fullmatch(name)
            or not _HEADER_VALUE.fullmatch(value)
        ):
            # The value may be a credential, so that the message leaves it out.
            raise InvalidRequestError(
                f"the header {shown(name)} cannot be sent",
                hint="a header has no line ends and no characters beyond Latin-1",
                fields={"headers": shown(name)},
            )
        lines.append((name, value))
    named = {name.lower() for name, _ in lines}
    if content_type is not None:
        if not _HEADER_VALUE.fullmatch(content_type):
            raise InvalidRequestError(
                "the content type cannot be sent", fields={"content_type": "not a header value"}
            )
        lines.append(("content-type", content_type))
    elif body is not None and "content-type" not in named:
        lines.append(("content-type", default_type))
    return CallRequest(
        method=method.upper(), path=path, headers=tuple(lines), body=body, timeout=timeout
    )
