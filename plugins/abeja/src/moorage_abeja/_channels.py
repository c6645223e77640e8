"""The channels of the datalake that moorage uses, found by their names."""

import threading

from moorage.errors import DecodeError

from ._client import Client


class Channels:
    """Finds a channel once, and makes it where there is none.

    Args:
        client: The platform.
        data: Of data artifacts; `None` looks for it by its name.
        jobs: Of the results of jobs; likewise.
    """

    def __init__(self, client: Client, *, data: str | None, jobs: str | None) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._known = {"moorage-data": data, "moorage-jobs": jobs}

    def data(self, *, make: bool) -> str | None:
        """Return the channel of data artifacts; `None` where there is none and none is made."""
        return self._find("moorage-data", "Data artifacts of moorage.", make=make)

    def jobs(self, *, make: bool) -> str | None:
        """Return the channel of the results of jobs; likewise."""
        return self._find("moorage-jobs", "Results of moorage's jobs.", make=make)

    def _find(self, name: str, description: str, *, make: bool) -> str | None:
        known = self._known[name]
        if known is not None:
            return known
        with self._lock:
            known = self._known[name] or self._look(name)
            if known is None and make:
                self._client.datalake.create_channel(name, description)
                # Where two made one at the same time, both take the first one.
                known = self._look(name)
                if known is None:
                    raise DecodeError(f"the channel {name!r} was made and is not listed")
            self._known[name] = known
            return known

    def _look(self, name: str) -> str | None:
        found = [
            (channel.created_at or "", channel.channel_id)
            for channel in self._client.datalake.iter_channels(filter_archived=True)
            if channel.name == name and not channel.archived
        ]
        return min(found)[1] if found else None
