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


def invalid(message: str) -> ApiError:
    """Return the refusal for a request that makes no sense."""
    return ApiError(422, "invalid", message)
