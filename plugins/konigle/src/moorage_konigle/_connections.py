"""Connections: other services that the project is connected with."""

from typing import Any, NoReturn

from moorage.errors import UnsupportedError

from ._manager import Manager
from ._wire import Envelope
from ._wire_assets import Connection

PATH = "/relay/api/v1/connections"


class Connections(Manager[Connection]):
    """The connections of the project; they can be listed, and are made in the service's console."""

    _path = PATH
    _noun = "connection"
    _item = Connection
    _envelope = Envelope[Connection] | list[Connection]

    def get_credentials(self, provider: str) -> dict[str, Any]:
        """Return the credentials of a connection, in clear; their keys are the other service's.

        Args:
            provider: Code of the other service.

        Raises:
            NotFoundError: There is no such connection.
        """
        return self._http.call(
            "GET",
            f"{PATH}/get-credentials",
            query={"provider": provider},
            returns=dict[str, Any],
        )

    def get(self, id_: str) -> NoReturn:
        """Refuse: the service shows connections in lists only.

        Raises:
            UnsupportedError: Always; nothing is sent.
        """
        raise _refused(f"connection {id_!r} cannot be asked for by itself", "look for it in `list`")

    def create(self, data: Any) -> NoReturn:  # noqa: ARG002  # as the others take it
        """Refuse, as `get` does."""
        raise _refused("a connection cannot be made here", _CONSOLE)

    def update(self, id_: str, data: Any) -> NoReturn:  # noqa: ARG002  # as the others take it
        """Refuse, as `get` does."""
        raise _refused(f"connection {id_!r} cannot be changed here", _CONSOLE)

    def delete(self, id_: str) -> NoReturn:
        """Refuse, as `get` does."""
        raise _refused(f"connection {id_!r} cannot be deleted here", _CONSOLE)


_CONSOLE = "use the service's own console"


def _refused(message: str, hint: str) -> UnsupportedError:
    return UnsupportedError(message, hint=hint)
