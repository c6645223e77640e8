"""What ABEJA Platform refuses, in moorage's words: the one table of the provider."""

import msgspec

from moorage.errors import ConflictError, UnsupportedError
from moorage.plugin.transport import Failure


def refine(failure: Failure) -> Failure:
    """Return a refusal with what the platform means by it.

    The platform answers 400 for most of what is wrong with the state of a thing: a service is
    started that runs, or stopped that does not. The path tells these from other mistakes.
    """
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
