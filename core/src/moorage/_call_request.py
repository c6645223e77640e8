"""The one request that a call of a deployment sends."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ._deployment import CallRequest
from ._environment import is_text
from ._json_value import check_json
from ._operations import check_timeout
from ._shown import shown
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
        or "#" in path
    ):
        raise InvalidRequestError(
            f"{shown(path)} is not a path of the deployment",
            hint="begin with '/', and quote what is not a plain character",
            fields={"path": "not a path"},
        )
    check_timeout(timeout)
    body, body_type = _body(json, data)
    lines = [_header(name, value) for name, value in (headers or {}).items()]
    names = {name.lower() for name, _ in lines}
    if content_type is not None:
        if "content-type" in names:
            raise InvalidRequestError(
                "the content type is given twice, as an argument and as a header",
                fields={"content_type": "with a header"},
            )
        lines.append(_header("content-type", content_type))
    elif body is not None and "content-type" not in names:
        lines.append(("content-type", body_type))
    return CallRequest(
        method=method.upper(), path=path, headers=tuple(lines), body=body, timeout=timeout
    )


def _body(json: Any, data: bytes | str | None) -> tuple[bytes | None, str]:
    """Return the body and what it is unless the caller says otherwise."""
    if json is not UNSET:
        if data is not None:
            raise InvalidRequestError("pass json or data, not both", fields={"data": "with json"})
        return msgspec.json.encode(check_json(json, "json")), "application/json"
    if data is None:
        return None, ""
    if isinstance(data, str) and is_text(data):
        return data.encode(), "text/plain; charset=utf-8"
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data), "application/octet-stream"
    # `bytes` would make that many NUL bytes of a number.
    raise InvalidRequestError(
        f"data is bytes or UTF-8 text, and not this {type(data).__name__}",
        hint="pass what is to become JSON as `json`",
        fields={"data": "not bytes or text"},
    )


def _header(name: str, value: str) -> tuple[str, str]:
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
    return name, value
