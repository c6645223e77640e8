"""Computers: the virtual machines of a project."""

from collections.abc import Mapping
from typing import Any

from ._body import body_of, checked, given
from ._manager import Manager
from ._wire import Computer, ComputerCreate, Envelope, MadeComputer

PATH = "/cloud/api/v1/computers"


class Computers(Manager[Computer]):
    """The computers of the project; there are no filters."""

    _path = PATH
    _noun = "computer"
    _item = Computer
    _envelope = Envelope[Computer] | list[Computer]
    _filters = frozenset()

    def create(
        self, data: ComputerCreate | Mapping[str, Any] | None = None, **fields: Any
    ) -> tuple[Computer, str]:
        """Have a computer made.

        Give it a `name`: without one, nobody can tell after a lost reply whether it was made.

        Args:
            data: A struct or a mapping of its fields.
            fields: The same as keywords.

        Returns:
            The computer, and the id of the job that provisions it.

        Raises:
            InvalidRequestError: A field is wrong.
            MoorageError: With `retry` `unknown_outcome`, it may have been made.
        """
        body = body_of(
            checked(given(data, fields, "a computer"), ComputerCreate, "a computer"), self._noun
        )
        made = self._http.call("POST", PATH, json=body, returns=MadeComputer)
        return made.computer, str(made.job_id)
