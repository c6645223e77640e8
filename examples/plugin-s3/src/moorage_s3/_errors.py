"""What the server and boto3 say, in moorage's words: the one table of the provider."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore import exceptions as native
from botocore.parsers import ResponseParserError

from moorage.errors import (
    AuthenticationError,
    ConfigError,
    ConflictError,
    DecodeError,
    IntegrityError,
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    Origin,
    PermissionDeniedError,
    QuotaError,
    RateLimitedError,
    Retry,
    TimedOutError,
    UnavailableError,
    UnsupportedError,
)

_CODES: Mapping[str, type[MoorageError]] = {
    "AccessDenied": PermissionDeniedError,
    "AccountProblem": PermissionDeniedError,
    "AllAccessDisabled": PermissionDeniedError,
    "AuthorizationHeaderMalformed": AuthenticationError,
    "BadDigest": IntegrityError,
    "ConditionalRequestConflict": ConflictError,
    "EntityTooLarge": QuotaError,
    "ExpiredToken": AuthenticationError,
    "InternalError": UnavailableError,
    "InvalidAccessKeyId": AuthenticationError,
    "InvalidDigest": IntegrityError,
    "InvalidToken": AuthenticationError,
    "NoSuchBucket": ConfigError,
    "NoSuchKey": NotFoundError,
    "NoSuchUpload": NotFoundError,
    "NotImplemented": UnsupportedError,
    "OperationAborted": ConflictError,
    "PermanentRedirect": ConfigError,
    "PreconditionFailed": ConflictError,
    "QuotaExceeded": QuotaError,
    "RequestLimitExceeded": RateLimitedError,
    "RequestTimeTooSkewed": AuthenticationError,
    "RequestTimeout": UnavailableError,
    "ServiceUnavailable": UnavailableError,
    "SignatureDoesNotMatch": AuthenticationError,
    "SlowDown": RateLimitedError,
    "Throttling": RateLimitedError,
    "ThrottlingException": RateLimitedError,
    "TooManyRequests": RateLimitedError,
    "TooManyRequestsException": RateLimitedError,
    "XAmzContentSHA256Mismatch": IntegrityError,
}

_STATUSES: Mapping[int, type[MoorageError]] = {
    301: ConfigError,
    307: ConfigError,
    401: AuthenticationError,
    402: QuotaError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: UnavailableError,
    409: ConflictError,
    410: NotFoundError,
    412: ConflictError,
    413: QuotaError,
    429: RateLimitedError,
    501: UnsupportedError,
    507: QuotaError,
}

_HINTS: Mapping[type[MoorageError], str] = {
    AuthenticationError: "check access_key_id, secret_access_key and session_token, and the clock",
    PermissionDeniedError: "the key needs s3:GetObject, s3:PutObject, s3:DeleteObject and"
    " s3:ListBucket on the bucket",
    ConfigError: "check bucket, endpoint and region of the profile",
    QuotaError: "delete some artifacts, or raise the limit of the bucket",
}

_WAITED_TOO_LONG = (native.ConnectTimeoutError, native.ReadTimeoutError)

CUT = (
    native.ReadTimeoutError,
    native.ConnectionClosedError,
    native.IncompleteReadError,
    native.ResponseStreamingError,
)
"""What a reply that stops in its middle raises."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what boto3 and the system raise inside into errors of `moorage.errors`.

    Args:
        doing: What fails, as it reads after "cannot": `"store artifact 'iris'"`.
    """
    try:
        yield
    except MoorageError:  # some of them are OSErrors too
        raise
    except native.ClientError as exc:
        raise from_reply(exc, doing) from exc
    except (native.BotoCoreError, native.HTTPClientError, ResponseParserError) as exc:
        raise from_library(exc, doing) from exc
    except OSError as exc:
        raise from_os(exc, doing) from exc


def from_reply(exc: native.ClientError, doing: str) -> MoorageError:
    """Return the error for a reply that refuses."""
    reply: Mapping[str, Any] = exc.response
    metadata = reply.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode")
    code = str(reply.get("Error", {}).get("Code", ""))
    text = str(reply.get("Error", {}).get("Message", "")).rstrip(".")
    kind = _CODES.get(code)
    if kind is None:
        kind = _STATUSES.get(status or 0)
    if kind is None:
        kind = UnavailableError if (status or 500) >= 500 else InvalidRequestError
    said = f"{code}: {text}" if text and text != code else code
    context: dict[str, Any] = {
        "hint": _HINTS.get(kind),
        "status": status,
        "request_id": metadata.get("RequestId"),
    }
    if kind is UnavailableError:
        context["origin"] = Origin.PROVIDER
    if kind is RateLimitedError:
        context["retry_after_s"] = _seconds(metadata.get("HTTPHeaders", {}).get("retry-after"))
    return kind(f"cannot {doing}: the server says {said}", **context)


def from_library(exc: Exception, doing: str) -> MoorageError:
    """Return the error for a reply that never came, or that could not be read."""
    message = f"cannot {doing}: {_one_line(exc)}"
    match exc:
        case native.ParamValidationError():
            return InvalidRequestError(message, origin=Origin.PLUGIN)
        case native.FlexibleChecksumError() | native.ChecksumError():
            return IntegrityError(message)
        case native.SSLError():
            return UnavailableError(
                message,
                hint="the server's certificate is not trusted: see the setting ca_bundle",
                retry=Retry.NEVER,
            )
        case _ if isinstance(exc, _WAITED_TOO_LONG):
            return TimedOutError(message, hint="see the setting read_timeout")
        case native.HTTPClientError() | native.ConnectionError() | native.IncompleteReadError():
            return UnavailableError(message, hint="is the endpoint right, and reachable?")
        case _:
            return DecodeError(message)


def from_os(exc: OSError, doing: str) -> MoorageError:
    """Return the error for a file on this machine that cannot be written."""
    message = f"cannot {doing}: {exc.strerror or exc}"
    if exc.errno in _FULL:
        return QuotaError(message, hint="free some space on this machine", origin=Origin.CALLER)
    return InvalidRequestError(message, hint="can the destination be written?")


def _seconds(text: str | None) -> float | None:
    # The other form, a date, is one that no S3 server is known to send.
    return float(text) if text and text.isdigit() else None


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split()) or type(exc).__name__
