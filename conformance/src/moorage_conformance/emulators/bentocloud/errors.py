"""The failures of this cloud, and how they look on the wire."""

import fnmatch
import uuid
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from .._fault_script import FaultScript
from .._incoming import Malformed
from .behaviour import Behaviour
from .faults import Refusal

NOT_FOUND: Final = "record not found"
"""What the text of every error about something missing ends with."""

DUPLICATE: Final = "duplicate key value violates unique constraint"
"""What the text of every error about a taken name holds: that of the database behind it."""


class ApiError(Exception):
    """A request that is answered with an error."""

    def __init__(self, text: str, status: int = 400, *, key: str = "error") -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.key = key

    def response(self) -> web.Response:
        """Return what the client gets."""
        return _answer(self.status, {self.key: self.text})


class MissingError(ApiError):
    """There is no such record; older servers say so with 400 instead of 404."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"get {what} {name}: {NOT_FOUND}", 404)


class DuplicateError(ApiError):
    """The name is taken. There is no 409 here."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f'create {what} {name}: {DUPLICATE} "uk_{what.replace(" ", "_")}_name"')


def unauthorized(text: str) -> ApiError:
    """Return the error for a request without a token that is known."""
    return ApiError(text, 401, key="message")


def answering_errors(behaviour: Behaviour, refusals: FaultScript[Refusal]) -> Middleware:
    """Return the middleware that turns every failure into the answer of the cloud."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = refusals.take(
            lambda fault: (
                (fault.method is None or fault.method == request.method)
                and fnmatch.fnmatchcase(request.path, fault.path)
            )
        )
        if refusal is not None:
            return _refused(refusal)
        try:
            return await handler(request)
        except ApiError as error:
            if isinstance(error, MissingError) and behaviour.legacy_not_found:
                error.status = 400
            return error.response()
        except Malformed as error:
            return ApiError(str(error)).response()
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            return ApiError(f"invalid request body: {error}").response()
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
            text = f"not found this router with method {request.method}"
            return ApiError(text, 404, key="message").response()

    return answer


def _refused(refusal: Refusal) -> web.Response:
    headers = {"x-trace-id": uuid.uuid4().hex} if refusal.trace else {}
    return _answer(refusal.status, {"error": refusal.text}, headers)


def _answer(
    status: int, content: dict[str, str], headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(content),
        content_type="application/json",
        headers=headers,
    )
