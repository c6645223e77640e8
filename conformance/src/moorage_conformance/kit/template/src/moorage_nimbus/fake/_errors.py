"""The refusals of the API."""


class ApiError(Exception):
    """A request that is refused.

    Args:
        status: HTTP status.
        code: The API's word for programs.
        message: The API's sentence for people.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def not_found(what: str) -> ApiError:
    """Return the refusal for what is not there."""
    return ApiError(404, "not_found", f"there is no {what}")


def no_route(path: str) -> ApiError:
    """Return the refusal for a path that is no part of the API.

    It is not the 404 of what is not there, so that a mistake in the client does not look like one.
    """
    return ApiError(400, "no_route", f"the API has no path {path}")


def invalid(message: str) -> ApiError:
    """Return the refusal for a request that makes no sense."""
    return ApiError(422, "invalid", message)
