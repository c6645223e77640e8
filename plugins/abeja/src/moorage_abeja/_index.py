"""Finding the services that deployments are made of.

A deployment is found by the name in its services' environment, so that all of them have to be
looked at; where it was found is remembered.
"""

import threading
from collections.abc import Iterable
from typing import NamedTuple

from moorage.errors import NotFoundError

from . import _record
from ._at_once import of_each
from ._client import Client
from ._wire import Service


class Place(NamedTuple):
    """A service, and what moorage keeps in it."""

    deployment_id: str
    service: Service
    record: _record.Record | None

    @property
    def service_id(self) -> str:
        """The service's id."""
        return self.service.service_id

    @property
    def generation(self) -> int:
        """Counts the services of a deployment."""
        return self.record.generation if self.record else 0

    @property
    def id(self) -> str:
        """The deployment's id: its first service's."""
        return (self.record.origin if self.record else "") or self.service.service_id

    @property
    def order(self) -> tuple[int, str, str]:
        """What decides between services of one deployment: of equal ones the first one counts."""
        return (self.generation, self.service.created_at or "", self.service_id)


class Group:
    """The services of one deployment; one, but for the time in which it is replaced."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.places = sorted(places, key=lambda place: place.order)

    @property
    def newest(self) -> Place:
        """What was asked for last; of several that were asked for at one time the first one."""
        last = self.places[-1].generation
        return next(place for place in self.places if place.generation == last)

    @property
    def serving(self) -> Place | None:
        """What answers requests now: the newest one that is ready."""
        ready = [place for place in self.places if place.service.status == "READY"]
        return next((p for p in ready if p.generation == ready[-1].generation), None)

    @property
    def current(self) -> Place:
        """What the deployment is: what serves, or what is to serve."""
        return self.serving or self.newest


class Index:
    """Where the services of each deployment are."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._known: dict[str, set[str]] = {}

    def find(self, name: str, *, everywhere: bool = False) -> Group:
        """Return the services of a deployment.

        Args:
            name: The deployment's.
            everywhere: Whether to look where it has not been seen before, too.

        Raises:
            NotFoundError: There is no such deployment.
        """
        with self._lock:
            known = set(self._known.get(name, ()))
        if known and not everywhere:
            found = self._among(name, known)
            if found:
                return Group(found)
        found = [place for place in self.all() if _record.name_of(place.service) == name]
        if not found:
            self.forget(name)
            raise NotFoundError(
                f"there is no deployment {name!r}",
                hint="`moorage deployments list` shows what there is",
                resource=f"deployment/{name}",
            )
        return Group(found)

    def all(self) -> list[Place]:
        """Return every service there is."""
        homes = self._client.deployments.get_deployments().entries
        found = of_each(self.of, [home.deployment_id for home in homes])
        return [place for places in found for place in places]

    def groups(self) -> list[Group]:
        """Return all deployments by name."""
        groups: dict[str, list[Place]] = {}
        for place in self.all():
            groups.setdefault(_record.name_of(place.service), []).append(place)
        return [Group(groups[name]) for name in sorted(groups)]

    def of(self, deployment_id: str) -> list[Place]:
        """Return the services of one of the platform's deployments."""
        try:
            services = self._client.services.get_services(deployment_id).entries
        except NotFoundError:  # deleted meanwhile
            return []
        places = [Place(deployment_id, service, _record.read(service)) for service in services]
        for place in places:
            self.remember(_record.name_of(place.service), deployment_id)
        return places

    def secrets_in_use(self) -> set[str]:
        """Return the names of all secrets that deployments use."""
        return {name for place in self.all() if place.record for name in place.record.secrets}

    def remember(self, name: str, deployment_id: str) -> None:
        """Note where a deployment is."""
        with self._lock:
            self._known.setdefault(name, set()).add(deployment_id)

    def forget(self, name: str) -> None:
        """Look everywhere again for a deployment."""
        with self._lock:
            self._known.pop(name, None)

    def _among(self, name: str, deployment_ids: Iterable[str]) -> list[Place]:
        return [
            place
            for deployment_id in deployment_ids
            for place in self.of(deployment_id)
            if _record.name_of(place.service) == name
        ]
