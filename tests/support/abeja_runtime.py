"""Calls the handler of a code version as ABEJA Platform's container does.

    python abeja_runtime.py CODE HANDLER < requests.jsonl > replies.jsonl

Each line of the input is one request: `method`, `content_type`, `headers` (pairs), `query`, and
either `body` or `parts`, in base64; `run` makes it the input of a run. Each line of the output is
what the caller of a service gets, or what a run leaves behind.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any


class Part(Mapping[str, Any]):
    """One content of a request: a mapping that can be read."""

    def __init__(self, body: bytes, **values: Any) -> None:
        self._values = {"body": body, **values}
        self._stream = io.BytesIO(body)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)


class Request(dict[str, Any]):
    """What a handler is given: a mapping, and a file of its first content."""

    def read(self, size: int = -1) -> bytes:
        if not self["contents"]:
            raise ValueError("the request has no content")
        return self["contents"][0].read(size)


class FoldedHeaders(dict[str, list[str]]):
    """Headers by name in any case: the last value, or all of them."""

    def __getitem__(self, name: str) -> Any:
        return super().__getitem__(name.lower())[-1]

    def get_all(self, name: str) -> list[str]:
        return super().get(name.lower(), [])


def request_of(told: dict[str, Any]) -> Request:
    headers = FoldedHeaders()
    for name, value in told.get("headers", []):
        headers.setdefault(name.lower(), []).append(value)
    headers.pop("authorization", None)  # the gateway keeps it
    method, kind = told.get("method", "POST"), told.get("content_type")
    if kind is not None:
        headers["content-type"] = [kind]
    if "parts" in told:
        contents = [
            Part(
                base64.b64decode(part["body"]),
                content_type=part.get("content_type"),
                metadata={},
                file_name=part.get("file_name"),
                form_name=part.get("form_name"),
            )
            for part in told["parts"]
        ]
    elif method == "GET":
        kind = "application/x-www-form-urlencoded"
        contents = [Part(told.get("query", "").encode(), content_type=kind, metadata={})]
    elif "body" in told:
        body = base64.b64decode(told["body"])
        contents = [
            Part(
                body,
                content_type=kind,
                metadata=told.get("metadata", {}),
                file_name=None,
                form_name=None,
            )
        ]
    else:
        contents = []
    return Request(
        http_method=method,
        content_type=kind,
        headers=[{"key": name, "values": dict.get(headers, name)} for name in sorted(headers)],
        http_headers=headers,
        contents=contents,
        metadata=contents[0]["metadata"] if contents else {},
    )


def answer_of(returned: Any) -> dict[str, Any]:
    if not isinstance(returned, dict):
        raise TypeError("a handler returns a dict")
    pieces = []
    content = returned.get("content", [])
    for item in content if isinstance(content, list | bytes) else [content]:
        if isinstance(item, bytes):
            pieces.append(item)
        else:
            text = item if isinstance(item, str) else json.dumps(item)
            pieces.append((b"\n" if pieces else b"") + text.encode())
    metadata = {str(k): str(v) for k, v in returned.get("metadata", {}).items()}
    return {
        "status": returned.get("status_code", 200),
        "content_type": returned.get("content_type", "text/plain"),
        "metadata": metadata,
        "body": base64.b64encode(b"".join(pieces)).decode(),
    }


def main(code: str, handler: str) -> None:
    os.chdir(code)
    sys.path.insert(0, code)
    module, _, name = handler.partition(":")
    function = getattr(importlib.import_module(module), name)
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the code prints is its log
    for line in sys.stdin:
        told = json.loads(line)
        try:
            reply = answer_of(function(request_of(told), {}))
            if told.get("run") and reply["status"] > 299:
                reply = {"status": 500, "error": "a run has failed"}
        except Exception as exc:  # noqa: BLE001  # whatever the code raises is its own failure
            traceback.print_exc()
            reply = {"status": 500, "error": f"{type(exc).__name__}: {exc}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
