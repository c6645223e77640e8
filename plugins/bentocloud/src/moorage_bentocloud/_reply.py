"""Reading replies: fast where they are as expected, and patiently where they are not.

Services grow: a `null` where a list was, a number in quotes, a moment without an offset must not
break whoever reads something else of the same reply. What cannot be decoded at once is mended
first.
"""

import functools
from typing import Any, TypeVar, cast

import msgspec

from moorage.errors import DecodeError

T = TypeVar("T")


@functools.lru_cache(maxsize=128)
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def decode(body: bytes, type_: type[T], what: str) -> T:
    """Return what a reply says.

    Args:
        body: The reply's.
        type_: What it is.
        what: The request, for the error.

    Raises:
        DecodeError: It is not JSON, or nothing like it.
    """
    try:
        return cast("T", _decoder(cast("Any", type_)).decode(body))
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        page = body.lstrip()[:1] == b"<"
        raise DecodeError(
            f"{what}: the reply is {_kind(body, page=page)}",
            hint="is the endpoint the API's? a proxy or a login page may have answered"
            if page or not body
            else None,
        ) from exc
    from ._mending import mended

    try:
        # A text stands for what is in it, so that "123" is a number where one is expected.
        return msgspec.convert(mended(msgspec.json.decode(body), type_), type_, strict=False)
    except (msgspec.ValidationError, RecursionError) as exc:
        raise DecodeError(
            f"{what}: the reply has another shape than expected: {exc}",
            hint="the service may be newer than this package, or the endpoint another's",
        ) from exc


def _kind(body: bytes, *, page: bool) -> str:
    if not body:
        return "empty, but JSON was expected"
    return "an HTML page instead of JSON" if page else "damaged JSON"
