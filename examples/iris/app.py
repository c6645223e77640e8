"""The iris classifier as a web service: an ASGI app that needs nothing but the standard library.

GET /           what runs here
GET /healthz    200 once it can serve
POST /predict   {"rows": [[sepal_length, sepal_width, petal_length, petal_width], ...]}
"""

import json
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from classifier import FEATURES, Classifier, check_rows

LARGEST_BODY_BYTES = 1 << 20

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

model = Classifier.load()


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, *, allow: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.allow = allow


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "http":
        await _http(scope, receive, send)
    else:  # a WebSocket: there is nothing to talk about
        await receive()
        await send({"type": "websocket.close", "code": 1000})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _http(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    started = time.perf_counter()
    method, path = scope["method"], scope["path"]
    headers = [(b"content-type", b"application/json")]
    try:
        status, answer = 200, await _answer(method, path, receive)
    except RefusedError as refusal:
        status, answer = refusal.status, {"error": str(refusal)}
        if refusal.allow:
            headers.append((b"allow", refusal.allow.encode()))
    body = json.dumps(answer, allow_nan=False).encode() + b"\n"
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
    # Escaped, so that nobody forges a line of the log by what is asked for.
    line = f"{method} {ascii(path)[1:-1]} {status} {(time.perf_counter() - started) * 1000:.1f}ms"
    print(line, file=sys.stdout if status < 400 else sys.stderr, flush=True)


async def _answer(method: str, path: str, receive: Receive) -> dict[str, Any]:
    allowed = {"/": "GET, HEAD", "/healthz": "GET, HEAD", "/predict": "POST"}.get(path)
    if allowed is None:
        raise RefusedError(404, f"there is nothing at {path}; try GET / or POST /predict")
    if method not in allowed.split(", "):
        raise RefusedError(405, f"{path} answers {allowed}, not {method}", allow=allowed)
    if path == "/predict":
        return _predict(await _body(receive))
    if path == "/healthz":
        return {"status": "ok"}
    return {
        "app": "iris",
        "version": os.environ.get("IRIS_VERSION", "unversioned"),
        "api_key": _masked(os.environ.get("IRIS_API_KEY")),
        "species": model.species,
        "features": FEATURES,
        "python": platform.python_version(),
    }


def _masked(secret: str | None) -> str | None:
    """Show that a secret is there and which it may be, and not what it is."""
    if not secret:
        return None
    return f"{secret[:2] if len(secret) >= 8 else ''}***"


def _predict(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as exc:  # broken JSON, or bytes that are no text
        raise RefusedError(400, "the body is not JSON") from exc
    if not isinstance(value, dict):
        raise RefusedError(400, 'the body must be an object: {"rows": [[5.1, 3.5, 1.4, 0.2]]}')
    if unknown := value.keys() - {"rows"}:
        raise RefusedError(
            400, f"unknown: {', '.join(sorted(map(ascii, unknown)))}; only 'rows' is known"
        )
    try:
        rows = check_rows(value.get("rows"))
    except ValueError as exc:
        raise RefusedError(400, str(exc)) from exc
    predictions = []
    for row in rows:
        probabilities = model.probabilities(row)
        species = max(probabilities, key=probabilities.__getitem__)
        predictions.append({"species": species, "probabilities": probabilities})
    return {
        "version": os.environ.get("IRIS_VERSION", "unversioned"),
        "predictions": predictions,
    }


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "the request ended before its body did")
        body += bytes(message.get("body", b""))
        if len(body) > LARGEST_BODY_BYTES:
            raise RefusedError(413, f"the body has more than {LARGEST_BODY_BYTES} bytes")
        if not message.get("more_body", False):
            return body
