"""Replacing a service by another one: what is to be done once the new one is ready.

Everything is found out anew each time, so that whoever picks a deploy up goes on where the
platform is, whatever was done before.
"""

import contextlib

from moorage.errors import ConflictError, InvalidRequestError, MoorageError, NotFoundError

from . import _record
from ._client import Client
from ._index import Group, Index, Place

_LAST_LINES = 3
_REFUSED = (ConflictError, InvalidRequestError)  # the platform's words for "not in this state"


class Rollout:
    """Moves the name of a deployment to its newest service and removes the others."""

    def __init__(self, client: Client, index: Index) -> None:
        self._client = client
        self._index = index

    def finish(self, group: Group, place: Place) -> bool:
        """Let a service that is ready take over; return whether nothing is left to be done."""
        self._point(place)
        older = [other for other in group.places if other.generation < place.generation]
        gone = [self.remove(other) for other in older]  # each is tried, whatever came of another
        return all(gone)

    def remove(self, place: Place) -> bool:
        """Stop and delete a service; return whether it is gone.

        Names that lead to it are deleted with it: nothing would answer there.
        """
        self._unname(place)
        services = self._client.services
        ids = (place.deployment_id, place.service_id)
        try:
            with contextlib.suppress(*_REFUSED):  # it does not run
                services.stop_service(*ids)
            services.delete_service(*ids)
        except NotFoundError:
            pass
        except _REFUSED:
            return False  # it is not stopped yet
        return True

    def last_words(self, place: Place) -> str:
        """Return the last lines of a service's log, to say why it failed; perhaps nothing."""
        try:
            page = self._client.services.get_service_recent_logs(
                place.deployment_id, place.service_id
            )
        except MoorageError:
            return ""
        return " / ".join(event.message for event in reversed(page.events[:_LAST_LINES]))

    def _point(self, place: Place) -> None:
        """Let the deployment's name lead to a service."""
        endpoints = self._client.endpoints
        alias = alias_of(place)
        try:
            found = endpoints.get_endpoint(place.deployment_id, alias)
        except NotFoundError:
            try:
                endpoints.create_endpoint(place.deployment_id, place.service_id, alias)
            except _REFUSED:  # somebody made it meanwhile
                endpoints.update_endpoint(place.deployment_id, alias, place.service_id)
            return
        if found.service_id != place.service_id:
            endpoints.update_endpoint(place.deployment_id, alias, place.service_id)

    def _unname(self, place: Place) -> None:
        endpoints = self._client.endpoints
        try:
            found = endpoints.get_endpoints(place.deployment_id).entries
            for endpoint in found:
                if endpoint.service_id == place.service_id:
                    endpoints.delete_endpoint(place.deployment_id, endpoint.endpoint_id)
        except NotFoundError:
            pass  # somebody else is faster


def alias_of(place: Place) -> str:
    """Return the endpoint's name: `default` for a deployment that is named like its app."""
    name = _record.name_of(place.service)
    artifact = place.record.artifact if place.record else ""
    return "default" if name == artifact.partition(":")[0] else name
