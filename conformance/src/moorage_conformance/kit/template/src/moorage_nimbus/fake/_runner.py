"""The program that an app or a job runs in; it needs nothing but Python.

    python _runner.py serve DIRECTORY MODULE:ATTRIBUTE DESCRIPTOR
    python _runner.py job DIRECTORY MODULE:FUNCTION DESCRIPTOR

Requests come as lines of JSON on standard input, answers leave by the descriptor. What the app
prints stays its own. When standard input ends, so does the program, whatever the app does.
"""

import asyncio
import base64
import importlib
import inspect
import io
import json
import os
import sys
import threading
import traceback
from typing import Any
from urllib.parse import unquote


def main(mode: str, directory: str, target: str, descriptor: str) -> int:
    """Load what is to be run and run it."""
    # The app gets an empty standard input; ours is where requests come from.
    requests = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    answers = os.fdopen(int(descriptor), "wb")
    sys.path.insert(0, directory)
    module, _, attribute = target.partition(":")
    loaded: Any = importlib.import_module(module)
    for name in attribute.split("."):
        loaded = getattr(loaded, name)

    def answer(value: Any) -> None:
        answers.write(json.dumps(value).encode() + b"\n")
        answers.flush()

    if mode == "job":
        value = json.loads(requests.readline())
        threading.Thread(target=_end_with, args=(requests,), daemon=True).start()
        result = loaded(value)
        sys.stdout.flush()
        answer({"output": result})
        return 0
    answer({"ready": True})
    for line in requests:
        answer(_serve(loaded, json.loads(line)))
    return 0


def _end_with(requests: io.BufferedReader) -> None:
    """End the program when whoever started it is gone."""
    requests.read()
    os._exit(1)


def _serve(app: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Let the app answer one request; what it raises is a 500, as on any server."""
    body = base64.b64decode(request["body"])
    try:
        status, headers, content = _call(app, request, body)
    except Exception:  # noqa: BLE001  # whatever the app raises
        traceback.print_exc()
        status, headers, content = 500, [("content-type", "text/plain")], b"Internal Server Error"
    return {
        "status": status,
        "headers": headers,
        "body": base64.b64encode(content).decode("ascii"),
    }


def _call(
    app: Any, request: dict[str, Any], body: bytes
) -> tuple[int, list[tuple[str, str]], bytes]:
    function = app if inspect.isfunction(app) else getattr(app, "__call__", app)  # noqa: B004  # looked at, not asked
    if inspect.iscoroutinefunction(function):
        return asyncio.run(_asgi(app, request, body))
    return _wsgi(app, request, body)


async def _asgi(
    app: Any, request: dict[str, Any], body: bytes
) -> tuple[int, list[tuple[str, str]], bytes]:
    status, headers, content = 500, list[tuple[str, str]](), bytearray()
    path, _, query = request["target"].partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request["method"],
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in request["headers"]],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = [
                (k.decode("latin-1"), v.decode("latin-1")) for k, v in message.get("headers", ())
            ]
        else:
            content.extend(message.get("body", b""))

    await app(scope, receive, send)
    return status, headers, bytes(content)


def _wsgi(
    app: Any, request: dict[str, Any], body: bytes
) -> tuple[int, list[tuple[str, str]], bytes]:
    path, _, query = request["target"].partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, "latin-1"),
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request["headers"]:
        key = name.upper().replace("-", "_")
        environ["CONTENT_TYPE" if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    told: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        told[:] = [int(status.split()[0]), headers]

    result = app(environ, start_response)
    try:
        content = b"".join(result)
    finally:
        if hasattr(result, "close"):
            result.close()
    return told[0], told[1], content


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
