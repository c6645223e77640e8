"""What ABEJA Platform refuses, in moorage's words: the one table of the provider."""

from collections.abc import Mapping

import msgspec

from moorage.errors import ConflictError, UnsupportedError
from moorage.plugin.transport import Failure

_MOST = 300  # of a detail, in characters


def refine(failure: Failure) -> Failure:
    """Return a refusal with what the platform means by it.

    The platform answers 400 for most of what is wrong with the state of a thing: a service is
    started that runs, or stopped that does not. The path tells these from other mistakes.
    """
    more = _more(failure)
    if more:
        failure = msgspec.structs.replace(failure, message=f"{failure.message}{more}")
    if (
        failure.status == 400
        and failure.method == "POST"
        and failure.template.endswith(("/start", "/stop"))
    ):
        return msgspec.structs.replace(
            failure, error=ConflictError, hint="it is in that state already, or on its way"
        )
    if failure.status == 405:
        return msgspec.structs.replace(failure, error=UnsupportedError)
    return failure


def _more(failure: Failure) -> str:
    """Return what a body says beside its sentence.

    The container of a service has a sentence of its own under `status`, and the API may tell
    details.
    """
    body = failure.body
    if not isinstance(body, Mapping):
        return ""
    if not failure.text:
        status = body.get("status")
        return f": {status[:_MOST]}" if isinstance(status, str) and status else ""
    detail = body.get("error_detail")
    if not detail:
        return ""
    return f" ({msgspec.json.encode(detail).decode()[:_MOST]})"
