"""What runs a code version: the platform's model container, as far as handlers see it.

This file is copied beside the code and runs there, so that it needs nothing but Python. A service
is the WSGI application `app`; a run is the job `run`.

A handler gets a request, which is a mapping and a file, and a context; it returns a dictionary.
One request is handled at a time.
"""

import base64
import email.message
import email.parser
import email.policy
import importlib
import io
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

CARRIED = "ABEJA_EMULATOR_CARRIED"
"""The variable that carries those which whoever runs the container would keep for itself."""

_DEPTH = 4  # how far down the directory `.abeja` is looked for
_METHODS = ("GET", "POST", "PUT")
_ONE = threading.Lock()


os.environ.update(json.loads(os.environ.pop(CARRIED, "{}")))


class Values(Mapping[str, Any]):
    """A mapping whose values are attributes too."""

    _values: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(name) from None


class Content(Values):
    """One part of what was sent."""

    def __init__(
        self,
        body: bytes,
        content_type: str | None,
        metadata: Mapping[str, str] | None = None,
        file_name: str | None = None,
        form_name: str | None = None,
    ) -> None:
        self._stream = io.BytesIO(body)
        self._values = {
            "content_type": content_type,
            "metadata": dict(metadata or {}),
            "body": body,
            "file_name": file_name,
            "form_name": form_name,
        }

    def read(self, size: int = -1) -> bytes:
        """Return bytes that were not read yet."""
        return self._stream.read(size)


class Headers(Mapping[str, str]):
    """Headers by name in any case; of several the last."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()][-1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get_all(self, name: str) -> list[str]:
        """Return all values of a header."""
        return list(self._values.get(name.lower(), ()))

    def listed(self) -> list[dict[str, Any]]:
        """Return them as a handler sees them in `headers`."""
        return [{"key": name, "values": self._values[name]} for name in sorted(self._values)]


class Request(Values):
    """What a handler is given."""

    def __init__(
        self,
        method: str,
        content_type: str | None,
        headers: Headers,
        contents: list[Content],
    ) -> None:
        self._contents = contents
        self._values = {
            "http_method": method,
            "content_type": content_type,
            "headers": headers.listed(),
            "http_headers": headers,
            "contents": contents,
            "metadata": contents[0]["metadata"] if contents else {},
        }

    def read(self, size: int = -1) -> bytes:
        """Return bytes of the first part that were not read yet."""
        if not self._contents:
            raise ValueError("the request has no content")
        return self._contents[0].read(size)

    def seekable(self) -> bool:
        """Return that it is read once."""
        return False


def parts(content_type: str, body: bytes) -> list[Content]:
    """Return the parts of a multipart body."""
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode("latin-1")
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    message = parser.parsebytes(head + body)
    return [_part(part) for part in message.iter_parts() if isinstance(part, email.message.Message)]


def _part(part: email.message.Message) -> Content:
    payload = part.get_payload(decode=True)
    return Content(
        payload if isinstance(payload, bytes) else b"",
        part.get_content_type() if part["Content-Type"] else None,
        {name.lower(): str(value) for name, value in part.items()},
        part.get_filename(),
        str(part.get_param("name", header="Content-Disposition") or "") or None,
    )


def handler() -> Callable[[Request, Any], Any]:
    """Return the handler of the version, `module:function`, from the directory of its code."""
    code = Path(__file__).with_name("code")
    for depth in range(_DEPTH):
        marked = sorted(code.glob("/".join(["*"] * depth + [".abeja"])))
        if marked:
            code = marked[0].parent
            break
    os.chdir(code)
    if sys.path[0] != str(code):
        sys.path.insert(0, str(code))
    module, _, name = (os.environ.get("HANDLER") or "main:handler").partition(":")
    found: Callable[[Request, Any], Any] = getattr(importlib.import_module(module), name)
    return found


class Answer:
    """What a handler returned, as bytes."""

    def __init__(self, returned: Any) -> None:
        if not isinstance(returned, dict):
            raise TypeError(f"the handler returned {type(returned).__name__} instead of a dict")
        self.status = int(returned.get("status_code") or 200)
        self.content_type = str(returned.get("content_type") or "text/plain")
        self.metadata = {str(k): str(v) for k, v in (returned.get("metadata") or {}).items()}
        self.body = b"".join(self._pieces(returned.get("content")))

    def _pieces(self, content: Any) -> Iterator[bytes]:
        if content is None:
            return
        if isinstance(content, dict | str | int | float):
            yield self._item(content)
            return
        for number, item in enumerate(content):  # bytes too, which makes numbers of them
            if number and not isinstance(item, bytes):
                yield b"\n"
            yield self._item(item)

    def _item(self, item: Any) -> bytes:
        if isinstance(item, bytes):
            return item
        if isinstance(item, str):
            return item.encode()
        return json.dumps(item, default=str).encode()


def handle(
    method: str, content_type: str | None, pairs: list[tuple[str, str]], contents: list[Content]
) -> Answer:
    """Call the handler, one at a time."""
    context = json.loads(os.environ.get("CONTEXT") or "{}")
    with _ONE:
        return Answer(handler()(Request(method, content_type, Headers(pairs), contents), context))


# A service ----------------------------------------------------------------------------------------


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer one HTTP request as the container does."""
    if environ["PATH_INFO"] == "/health_check":
        handler()
        return _reply(start_response, 200, b'{"status": "ok"}', "application/json")
    method = environ["REQUEST_METHOD"]
    if method not in _METHODS:
        return _failure(start_response, 501, "unsupported method")
    content_type = environ.get("CONTENT_TYPE") or None
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    pairs = [
        (name[5:].replace("_", "-").lower(), value)
        for name, value in environ.items()
        if name.startswith("HTTP_") and name != "HTTP_AUTHORIZATION"
    ]
    if content_type is not None:
        pairs.append(("content-type", content_type))
    if method == "GET":
        content_type = "application/x-www-form-urlencoded"
        contents = [Content(environ.get("QUERY_STRING", "").encode("latin-1"), content_type)]
    elif (content_type or "").startswith("multipart/"):
        contents = parts(content_type or "", body)
    else:
        contents = [Content(body, content_type)]
    try:
        answer = handle(method, content_type, pairs, contents)
    except Exception:  # noqa: BLE001  # whatever the code raises is its own failure
        traceback.print_exc()
        return _failure(start_response, 500, "unexpected error occurred")
    headers = [
        (f"x-abeja-meta-{k}" if not k.lower().startswith("x-") else k, v)
        for k, v in answer.metadata.items()
    ]
    return _reply(start_response, answer.status, answer.body, answer.content_type, headers)


def _failure(start_response: Callable[..., Any], status: int, message: str) -> list[bytes]:
    return _reply(
        start_response, status, json.dumps({"status": message}).encode(), "application/json"
    )


def _reply(
    start_response: Callable[..., Any],
    status: int,
    body: bytes,
    content_type: str,
    headers: Iterable[tuple[str, str]] = (),
) -> list[bytes]:
    own = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("X-Abeja-Deployment-Id", os.environ.get("ABEJA_DEPLOYMENT_ID", "")),
        ("X-Abeja-Service-Id", os.environ.get("ABEJA_SERVICE_ID", "")),
        ("X-Abeja-Model-Version", os.environ.get("ABEJA_MODEL_VERSION", "")),
    ]
    start_response(f"{status} Status", [*own, *headers])
    return [body]


# A run --------------------------------------------------------------------------------------------


def run(value: dict[str, Any]) -> dict[str, Any]:
    """Call the handler for a run, and return what it made of its input."""
    contents = []
    content_type = value.get("content_type")
    if content_type is not None:
        body = base64.b64decode(value["body"])
        contents.append(Content(body, content_type, value.get("metadata")))
    answer = handle("POST", content_type, [], contents)
    if answer.status > 299:
        text = answer.body.decode("utf-8", "replace")
        raise RuntimeError(f"the handler answered {answer.status}: {text}")
    return {
        "content_type": answer.content_type,
        "metadata": answer.metadata,
        "body": base64.b64encode(answer.body).decode("ascii"),
    }
