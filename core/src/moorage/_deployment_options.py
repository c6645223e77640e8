"""The options that say what a deployment shall be."""

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from ._artifact import check_labels, check_name
from ._capability import near
from ._environment import check_env
from ._json_value import check_json
from ._shown import shown
from .errors import InvalidRequestError


class SpecOptions(TypedDict, total=False):
    """What `deploy`, `create`, `plan` and `update` take beside the name and the artifact."""

    env: Mapping[str, str]
    """Environment variables."""

    secrets: Iterable[str]
    """Names of stored secrets, whose values become environment variables."""

    instance_type: str | None
    """The provider's name of the machine for each replica."""

    replicas: int | None
    """How many run."""

    min_replicas: int | None
    """Fewest that run, where the provider scales."""

    max_replicas: int | None
    """Most that run, where the provider scales."""

    labels: Mapping[str, str]
    """Words for the reader's own use."""

    options: Mapping[str, Any]
    """What only this provider knows; its page lists them."""


def given_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are not left at their default.

    An empty mapping or list and `None` are the defaults: nothing is asked for.

    Raises:
        TypeError: There is no such option.
    """
    _check_known(options)
    given = dict(options)
    if "secrets" in given:
        given["secrets"] = check_secret_names(given["secrets"])
    return {key: value for key, value in given.items() if value not in (None, {}, (), [])}


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given options of a spec, each checked and in the spec's own type.

    Raises:
        InvalidRequestError: One cannot be used.
        TypeError: There is no such option.
    """
    _check_known(options)
    checked = dict(options)
    if "env" in checked:
        checked["env"] = check_env(checked["env"])
    if "secrets" in checked:
        names = checked["secrets"]
        checked["secrets"] = check_secret_names(names)
    check_instance_type(checked.get("instance_type"))
    for field in ("replicas", "min_replicas", "max_replicas"):
        value = checked.get(field)
        lowest = 0 if field == "min_replicas" else 1
        if value is not None and (
            not isinstance(value, int) or isinstance(value, bool) or value < lowest
        ):
            raise InvalidRequestError(
                f"{field} is a whole number from {lowest} on, not {shown(value)}",
                fields={field: "not such a number"},
            )
    low, high = checked.get("min_replicas"), checked.get("max_replicas")
    if low is not None and high is not None and low > high:
        raise InvalidRequestError(
            f"min_replicas ({low}) is above max_replicas ({high})",
            fields={"min_replicas": "above max_replicas"},
        )
    if "labels" in checked:
        checked["labels"] = check_labels(checked["labels"])
    if "options" in checked:
        checked["options"] = check_json(checked["options"], "options")
    return checked


def check_instance_type(name: str | None) -> str | None:
    """Return the provider's name of a machine, or `None`.

    Raises:
        InvalidRequestError: It cannot be a name.
    """
    if name is not None and (not isinstance(name, str) or not name or not name.isprintable()):
        raise InvalidRequestError(
            f"{shown(name)} is not an instance type", fields={"instance_type": "not a name"}
        )
    return name


def check_secret_names(names: Iterable[str] | str) -> tuple[str, ...]:
    """Return names of secrets, each once, in the order given.

    Raises:
        InvalidRequestError: One is no name.
    """
    listed = (names,) if isinstance(names, str) else tuple(names)
    return tuple(dict.fromkeys(check_name(name, "secret") for name in listed))


def _check_known(options: Iterable[str]) -> None:
    for option in options:
        if option not in SpecOptions.__annotations__:
            msg = (
                f"a deployment has no option {option!r}{near(option, SpecOptions.__annotations__)}"
            )
            raise TypeError(msg)
