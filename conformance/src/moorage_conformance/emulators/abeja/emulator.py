"""The emulator of ABEJA Platform, as a test sees it."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from .._emulator import Emulator
from .._fault_script import StorageFault
from .._object_store import ObjectStore
from .routes import api, service_host
from .state import (
    BEARER,
    DATASOURCE_ID,
    DATASOURCE_SECRET,
    ORGANIZATION_ID,
    ORGANIZATION_NAME,
    TOKEN,
    USER_ID,
    Log,
    World,
)

_API, _STORE, _SERVICES = range(3)


class AbejaEmulator(Emulator):
    """ABEJA Platform, with one organization.

    It has three origins: the API, the store of presigned URLs, and the host on which services are
    called. A request to the API whose `Host` begins with the organization is one to a service
    too, and targets in absolute form are understood, so that the official client can reach both
    through a proxy.

    With `run_apps` a service's code version really runs, and so does a run; without, both go
    through their states, and calls are answered by 503.

    Attributes:
        organization_id: Its number.
        organization_name: Its name, which a path may have instead.
        user_id: Who calls.
        personal_access_token: Of the user.
        auth_token: Opens the same.
        datasource_id: A data source.
        datasource_secret: Of the data source.
    """

    provider = "abeja"

    organization_id = ORGANIZATION_ID
    organization_name = ORGANIZATION_NAME
    user_id = USER_ID
    personal_access_token = TOKEN
    auth_token = BEARER
    datasource_id = DATASOURCE_ID
    datasource_secret = DATASOURCE_SECRET

    def __init__(self, **options: Any) -> None:
        """Prepare it.

        Args:
            options: As for every emulator: `port`, `pace`, `clock`, `run_apps`.
        """
        super().__init__(**options)
        self._world: World | None = None

    @property
    def world(self) -> World:
        """What it holds; to be changed through `call` alone."""
        if self._world is None:
            msg = "the emulator does not run"
            raise RuntimeError(msg)
        return self._world

    @property
    def service_url(self) -> str:
        """Where services are called."""
        return self.origin(_SERVICES)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings that connect a profile to it."""
        return {
            "endpoint": self.url,
            "service_endpoint": self.service_url,
            "organization_id": ORGANIZATION_ID,
            "user_id": USER_ID,
            "personal_access_token": TOKEN,
        }

    def applications(self) -> Sequence[web.Application]:
        """Return the API, the store and the host of services."""
        place = tempfile.TemporaryDirectory(
            prefix="moorage-emulator-abeja-", ignore_cleanup_errors=True
        )
        store = ObjectStore(self.clock, lambda: self.origin(_STORE))
        world = World(clock=self.clock, pace=self.pace, store=store, directory=Path(place.name))
        world.apps = self.apps
        self._world = world

        async def clean_up(_application: web.Application) -> None:
            place.cleanup()

        application = api(world)
        application.on_cleanup.append(clean_up)
        return application, store.application(), service_host(world)

    # What a test does with it ---------------------------------------------------------------------

    def log_service(self, service_id: str, *messages: str) -> None:
        """Add lines to a service's log."""
        self.call(lambda: self._say(self.world.service(service_id).log, messages))

    def log_run(self, run_id: str, *messages: str) -> None:
        """Add lines to a run's log."""
        self.call(lambda: self._say(self.world.run(run_id).log, messages))

    def log_notebook(self, notebook_id: str, *messages: str) -> None:
        """Add lines to a notebook's log."""
        self.call(lambda: self._say(self.world.notebook(notebook_id).log, messages))

    def fail_service(self, service_id: str) -> None:
        """Let a service be `FAILED` from now on."""

        def fail() -> None:
            self.world.service(service_id).course = self.world.course("FAILED")

        self.call(fail)

    def fail(self, *faults: StorageFault) -> None:
        """Let the store of presigned URLs fail at what comes next."""
        self.call(lambda: self.world.store.fail(*faults))

    def expire_urls(self) -> None:
        """Let every presigned URL that was handed out be too old."""
        self.call(self.world.store.expire)

    def _say(self, log: Log, messages: Sequence[str]) -> None:
        for message in messages:
            log.add(message, self.world.now())
