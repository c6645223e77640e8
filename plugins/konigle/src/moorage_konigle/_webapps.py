"""Web apps: what runs on computers."""

from collections.abc import Mapping
from typing import Any

from ._body import body_of, checked, given
from ._manager import Manager
from ._wire import Availability, Envelope, MadeWebApp, WebApp, WebAppCreate

PATH = "/cloud/api/v1/webapps"


class WebApps(Manager[WebApp]):
    """The web apps of the project; the filter is `computer_id`."""

    _path = PATH
    _noun = "webapp"
    _item = WebApp
    _envelope = Envelope[WebApp] | list[WebApp]
    _filters = frozenset({"computer_id"})

    def create(
        self, data: WebAppCreate | Mapping[str, Any] | None = None, **fields: Any
    ) -> tuple[WebApp, str]:
        """Have a web app and its two spaces made.

        Args:
            data: A struct or a mapping of its fields.
            fields: The same as keywords.

        Returns:
            The web app, and the id of the job that provisions it.

        Raises:
            InvalidRequestError: A field is wrong.
            AlreadyExistsError: Somebody has a web app of that name.
            MoorageError: With `retry` `unknown_outcome`, it may have been made; its name tells.
        """
        body = body_of(
            checked(given(data, fields, "a webapp"), WebAppCreate, "a webapp"), self._noun
        )
        made = self._http.call("POST", PATH, json=body, returns=MadeWebApp)
        return made.webapp, str(made.job_id)

    def check_name_availability(self, name: str) -> bool:
        """Return whether nobody has a web app of that name."""
        return self._http.call(
            "GET", f"{PATH}/check-name-availability", query={"name": name}, returns=Availability
        ).available
