"""What the platform says when it refuses."""

import http
from collections.abc import Mapping
from typing import Any

from aiohttp import web

# The platform's list of words is not published; these are those of its examples and their kind.
_WORDS: Mapping[int, str] = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "request_entity_too_large",
    500: "internal_server_error",
    503: "service_unavailable",
}


class ApiError(Exception):
    """A refusal, with the status and the text that a client gets."""

    def __init__(self, status: int, description: str, *, detail: Any = None) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.detail = detail

    def response(self) -> web.Response:
        """Return what is sent: always an object, since the official client crashes on others."""
        word = _WORDS.get(self.status) or http.HTTPStatus(self.status).phrase.lower()
        body: dict[str, Any] = {"error": word, "error_description": self.description}
        if self.detail is not None:
            body["error_detail"] = self.detail
        return web.json_response(body, status=self.status)


def bad_request(description: str, **detail: Any) -> ApiError:
    """Return the refusal of a request that is wrong in itself."""
    return ApiError(400, description, detail=detail or None)


def not_found(noun: str, key: str) -> ApiError:
    """Return the refusal of a request for something that is not there."""
    return ApiError(404, f"{noun} {key} is not found")


def runtime_error(status: int, message: str) -> web.Response:
    """Return what a model container says in the words of its own."""
    return web.json_response({"status": message}, status=status)
