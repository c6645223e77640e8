"""After the reply to a call was lost: what exists decides whether it happened."""

from collections.abc import Callable
from typing import TypeVar

from .errors import MoorageError, NotFoundError, Retry, UnavailableError

T = TypeVar("T")


def look_after(lost: MoorageError, look: Callable[[], T]) -> T | None:
    """Return what is there after a reply was lost; `None` where nothing is.

    Raises:
        MoorageError: The loss itself where looking fails too. Whatever that failure says about
            repeating is said of the look, and not of the call whose outcome is unknown.
    """
    try:
        return look()
    except NotFoundError:
        return None
    except MoorageError:
        raise lost from lost.__cause__


def settled(lost: MoorageError, finding: str) -> MoorageError:
    """Return the error of a lost reply after moorage has looked: nothing happened."""
    return UnavailableError(
        f"{lost.message}; {finding}",
        hint="nothing was changed: the call can be made again",
        provider=lost.provider,
        operation=lost.operation,
        resource=lost.resource,
        status=lost.status,
        request_id=lost.request_id,
        retry=Retry.SAFE,
        origin=lost.origin,
    )


def settle_delete(lost: MoorageError, resource: str, look: Callable[[], object]) -> None:
    """Return if what was to be deleted is gone.

    Raises:
        UnavailableError: It is still there, and may be deleted again.
        MoorageError: The loss itself, where looking does not tell.
    """
    if look_after(lost, look) is not None:
        raise settled(lost, f"{resource} still exists") from lost
