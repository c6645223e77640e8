"""Header fields that are safe to send."""

import re
from collections.abc import Mapping

from ...errors import InvalidRequestError

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

# They frame the message, so that a wrong one would let a request say two things at once.
_RESERVED = frozenset(
    {
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

# What may follow a redirect to another origin: it tells nothing of the caller.
_HARMLESS = frozenset(
    {"accept", "accept-encoding", "accept-language", "if-range", "range", "user-agent"}
)


def check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers if each may be sent.

    Raises:
        InvalidRequestError: One may not; the message names it and does not quote its value.
    """
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidRequestError(
                "a header's name has a character that headers cannot have",
                hint="names are ASCII letters, digits and hyphens",
            )
        if name.lower() in _RESERVED:
            raise InvalidRequestError(
                f"the header {name!r} is set by the transport alone",
                fields={name: "cannot be set"},
            )
        reason = refusal(value)
        if reason:
            raise InvalidRequestError(
                f"the value of the header {name!r} {reason}", fields={name: reason}
            )
    return headers


def refusal(value: object) -> str | None:
    """Return why a header's value cannot be sent, in words that follow "it"."""
    if not isinstance(value, str):
        return "is not text"
    if _VALUE.fullmatch(value):
        return None
    if "\n" in value or "\r" in value:
        return "has a line break"
    if any(ord(character) > 0xFF for character in value):
        return "has a character outside Latin-1"
    return "has a control character"


def merged(*layers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of all layers; a later one wins, whatever the case of its name."""
    result: dict[str, str] = {}
    for layer in layers:
        if not result:
            result.update(layer)
            continue
        names = {name.lower(): name for name in result}
        for name, value in layer.items():
            earlier = names.get(name.lower())
            if earlier is not None and earlier != name:
                del result[earlier]
            result[name] = value
    return result


def harmless(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what of the headers may go to an origin that the caller did not choose."""
    return {name: value for name, value in headers.items() if name.lower() in _HARMLESS}
