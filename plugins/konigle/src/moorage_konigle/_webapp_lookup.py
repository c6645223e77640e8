"""Finding computers, web apps and spaces by their names."""

from collections.abc import Iterator

from moorage.errors import ConfigError, NotFoundError

from ._client import Client
from ._wire import Computer, Space, WebApp

_PAGE = 200


class Lookup:
    """Finds things on the profile's computer; it remembers where they were."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._computer: Computer | None = None
        self._ids: dict[str, str] = {}

    def computer(self, wanted: str | None = None) -> Computer:
        """Return a computer by its name or id; by default the profile's, or the only one.

        Raises:
            NotFoundError: There is none of that name.
            ConfigError: There are several, and the profile names none; or there is none at all.
        """
        if wanted is None and self._computer is not None:
            return self._computer
        found = self._find_computer(wanted or self._client.settings.computer)
        if wanted is None:
            self._computer = found
        return found

    def computer_id(self) -> str | None:
        """Return the id of the profile's computer; `None` where the profile names none."""
        return self.computer().id if self._client.settings.computer is not None else None

    def webapp(self, name: str) -> WebApp:
        """Return a web app.

        Raises:
            NotFoundError: There is none of that name on the profile's computer.
        """
        known = self._ids.get(name)
        if known is not None:
            try:
                found = self._client.webapps.get(known)
            except NotFoundError:
                del self._ids[name]
            else:
                return found
        for webapp in self._client.webapps.iter_all(
            page_size=_PAGE, computer_id=self.computer_id()
        ):
            if webapp.name == name:
                self._ids[name] = webapp.id
                return webapp
        raise NotFoundError(
            f"there is no deployment {name!r}",
            hint="`moorage deployments list` shows those of the profile's computer",
            resource=f"deployment/{name}",
        )

    def spaces(self, webapp_id: str) -> dict[str, Space]:
        """Return the spaces of a web app, by their type."""
        return {
            space.space_type: space
            for space in self._client.spaces.iter_all(page_size=_PAGE, webapp_id=webapp_id)
            if space.webapp in (None, webapp_id)
        }

    def all_spaces(self) -> dict[str, dict[str, Space]]:
        """Return all spaces there are, by web app and type."""
        found: dict[str, dict[str, Space]] = {}
        for space in self._client.spaces.iter_all(page_size=_PAGE):
            if space.webapp is not None:
                found.setdefault(space.webapp, {})[space.space_type] = space
        return found

    def _find_computer(self, wanted: str | None) -> Computer:
        names = []
        for computer in self._computers():
            if wanted in (computer.name, computer.id):
                return computer
            names.append(computer)
        if wanted is not None:
            raise NotFoundError(
                f"there is no computer {wanted!r}",
                hint=f"there is {', '.join(computer.name for computer in names)}"
                if names
                else "there is none; `moorage konigle computers create` makes one",
                resource=f"computer/{wanted}",
            )
        if len(names) == 1:
            return names[0]
        raise ConfigError(
            f"there are {len(names)} computers, and the profile does not say which one to use"
            if names
            else "there is no computer to put an app on",
            hint=f"set `computer` to one of {', '.join(computer.name for computer in names)}"
            if names
            else "`moorage konigle computers create` makes one",
        )

    def _computers(self) -> Iterator[Computer]:
        return self._client.computers.iter_all(page_size=_PAGE)
