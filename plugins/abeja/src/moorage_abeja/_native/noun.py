"""What the nouns of the client have in common."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from moorage.errors import InvalidRequestError
from moorage.plugin.transport import HttpClient

from .._wire import Message

T = TypeVar("T")

ORGANIZATION = "/organizations/{organization_id}"
DEPLOYMENT = f"{ORGANIZATION}/deployments/{{deployment_id}}"

_NOTHING = Message()
_INSTANCE_TYPE = re.compile(r"(?:cpu|gpu)(?::[a-d])?-[0-9]+(?:\.[0-9]+)?")


class Noun:
    """A part of the client.

    `None` for an optional argument means that it is not given. What is given travels as it is,
    zeros and empty texts too; only where something is made, what is empty and says nothing more
    than what is not given is left out, as the platform's own library does.
    """

    def __init__(self, http: HttpClient, organization_id: str) -> None:
        self._http = http
        self._organization_id = organization_id

    def _call(
        self,
        method: str,
        template: str,
        returns: type[T],
        organization_id: str | None = None,
        /,
        parameters: Mapping[str, str | int] | None = None,
        **options: Any,
    ) -> T:
        """Send a request below an organization, the client's unless another is named."""
        ids: dict[str, str | int] = {
            "organization_id": self._organization_id if organization_id is None else organization_id
        }
        ids.update(parameters or {})
        return self._plain(method, template, returns, ids, **options)

    def _plain(
        self,
        method: str,
        template: str,
        returns: type[T],
        parameters: Mapping[str, str | int],
        /,
        **options: Any,
    ) -> T:
        """Send a request to a path that names no organization."""
        if method == "DELETE":
            options.setdefault("data", b"")  # a length of zero is what the platform knows
        if returns is Message:
            options.setdefault("empty", _NOTHING)
        reply: T = self._http.call(method, template, parameters, returns=returns, **options)
        return reply


def given(**values: Any) -> dict[str, Any]:
    """Return what is not `None`."""
    return {key: value for key, value in values.items() if value is not None}


def filled(**values: Any) -> dict[str, Any]:
    """Return what is neither `None` nor empty."""
    return {key: value for key, value in values.items() if value is not None and value != ""}


def moment(value: datetime | str | None, *, up: bool = False) -> str | None:
    """Return a moment as the platform's queries take it: UTC, in whole seconds.

    A time zone is converted; a moment without one is UTC, as in the platform's own answers.

    Args:
        value: The moment, or its text as it is.
        up: Whether the next whole second is meant where it has a fraction. An end that is cut
            would lose what was written within that second.
    """
    if value is None or isinstance(value, str):
        return value or None
    if value.tzinfo is not None:
        value = value.astimezone(UTC)
    if up and value.microsecond:
        value += timedelta(seconds=1)
    return value.strftime("%Y-%m-%dT%H:%M:%S")


def archive_filter(filter_archived: bool | None) -> str | None:  # noqa: FBT001  # the API's own argument
    """Return how a listing is told whether what is archived shall be left out."""
    if filter_archived is None:
        return None
    return "exclude_archived" if filter_archived else "include_archived"


def recent_query(
    next_forward_token: str | None,
    next_backward_token: str | None,
    start_time: datetime | str | None,
    end_time: datetime | str | None,
) -> dict[str, str | None]:
    """Return the query of a log that is read from its end."""
    return {
        "next_forward_token": next_forward_token or None,  # an empty token is none
        "next_backward_token": next_backward_token or None,
        "start_time": moment(start_time),
        "end_time": moment(end_time, up=True),
    }


def check_instance_type(name: str | None) -> str | None:
    """Return the name of a machine if it is one.

    Raises:
        InvalidRequestError: It is not.
    """
    if name is not None and not _INSTANCE_TYPE.fullmatch(name):
        raise InvalidRequestError(
            f"{name!r} is no instance type",
            hint="write cpu-1, gpu:b-4 and the like",
            fields={"instance_type": "no instance type"},
        )
    return name


def check_given(**values: Any) -> None:
    """Check that values are there.

    Raises:
        InvalidRequestError: One is `None` or empty.
    """
    for name, value in values.items():
        if value is None or value == "":  # zero is a value
            raise InvalidRequestError(f"{name!r} is needed", fields={name: "is needed"})
