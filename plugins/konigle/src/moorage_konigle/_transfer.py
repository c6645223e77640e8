"""Sending a file to the storage directly, at the address that the service gives.

What the service answers to an announcement is not documented. The names that such answers usually
have are looked for, and an answer with none of them is refused before anything is sent.
"""

from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from moorage.errors import DecodeError
from moorage.plugin import Progress
from moorage.plugin.transport import (
    Content,
    Form,
    HttpClient,
    RequestOptions,
    SignedUrl,
    TextField,
)

from ._upload_file import UploadFile

_URLS = ("upload_url", "presigned_url", "signed_url", "url")
_IDS = ("id", "upload_id")
_INNER = ("upload", "data", "presigned")
_METHODS = ("PUT", "POST")
_MADE_BY_US = frozenset({"content-length", "host"})


class Transfer(msgspec.Struct, frozen=True):
    """Where and how a file is sent."""

    upload_id: str
    url: SignedUrl
    method: str
    headers: dict[str, str]
    fields: dict[str, str]

    @classmethod
    def parse(cls, reply: Mapping[str, Any]) -> Self:
        """Read the answer to an announcement.

        Raises:
            DecodeError: It has no id or no address.
        """
        whole = dict(reply)
        for key in _INNER:
            if isinstance(reply.get(key), dict):
                whole = {**reply[key], **whole}
        url, upload_id = _first(whole, _URLS), _first(whole, _IDS)
        if url is None or upload_id is None:
            raise DecodeError(
                "the service announces an upload in a way that is not known:"
                f" it says {', '.join(sorted(map(str, whole))) or 'nothing'}",
                hint="read `create_cloud_upload`'s answer and send the file yourself, or use"
                " `create`",
            )
        fields = _texts(whole.get("fields"))
        method = str(whole.get("method") or ("POST" if fields else "PUT")).upper()
        if method not in _METHODS:
            raise DecodeError(f"the service wants the file sent by {method[:20]!r}")
        return cls(upload_id, SignedUrl(url), method, _texts(whole.get("headers")), fields)

    def run(
        self,
        http: HttpClient,
        content: Content,
        file: UploadFile,
        *,
        progress: Progress | None,
        timeout: float | None,
    ) -> None:
        """Send the file; sending it twice leaves the same file."""
        options: RequestOptions = {"timeout": timeout, "repeatable": True}
        if progress is not None:
            options["progress"] = progress
        if self.fields:
            texts = [TextField(name, value) for name, value in self.fields.items()]
            options["data"] = Form([*texts, file.field("file")])
        else:
            options["data"] = content
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in _MADE_BY_US
        }
        if not self.fields and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = file.content_type
        options["headers"] = headers
        http.call(self.method, self.url, **options)


def own_path(url: str, endpoint: str) -> tuple[str, dict[str, str | list[str]]] | None:
    """Return the path, below the endpoint's, and the query of an address of the API's own origin.

    Returns:
        `None` where it is another's, or lies elsewhere than the API.
    """
    there, here = urlsplit(url), urlsplit(endpoint)
    if not there.netloc:  # a path alone means the same origin
        there = there._replace(scheme=here.scheme, netloc=here.netloc)
    if (there.scheme, there.netloc.lower()) != (here.scheme, here.netloc.lower()):
        return None
    prefix = here.path.rstrip("/") + "/"
    if not there.path.startswith(prefix):
        return None
    query: dict[str, str | list[str]] = {}
    for name, value in parse_qsl(there.query, keep_blank_values=True):
        before = query.get(name)
        query[name] = value if before is None else [*_listed(before), value]
    return unquote(there.path[len(prefix) :]), query


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _first(reply: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        value = reply.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return None


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(key): str(text) for key, text in value.items() if isinstance(text, str | int)}
