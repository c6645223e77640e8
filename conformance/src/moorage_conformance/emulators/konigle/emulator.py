"""The emulator as tests use it."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from .._emulator import Emulator
from .._fault_script import StorageFault
from .errors import keyed, refusals
from .routes import Routes
from .site_routes import SiteRoutes
from .spaces import SpaceServers
from .state import CloudState
from .state_site import SiteState
from .state_uploads import UploadState

KEY = "konigle-emulator-key"
COMPUTER = "box-1"


class KonigleEmulator(Emulator):
    """One project of Konigle's cloud, with one computer that is ready.

    Attributes:
        state: Computers, web apps, spaces and jobs; look at it and change it within `call`.
        uploads: Private files; likewise.
        site: Published files and connections; likewise.
    """

    provider = "konigle"

    def applications(self) -> Sequence[web.Application]:
        """Return the API and the storage."""
        place = Path(tempfile.mkdtemp(prefix="moorage-konigle-"))
        self.state = CloudState(self.clock, self.pace)
        self.uploads = UploadState(self.clock, self.state.new_id, lambda: self.origin(1))
        self.site = SiteState(self.clock, self.state.new_id, self.uploads.store)
        servers = SpaceServers(lambda: self.apps, place, self)
        self.state.install = servers.install
        self._add_computer(COMPUTER)

        async def end(_application: web.Application) -> None:
            await servers.close()
            shutil.rmtree(place, ignore_errors=True)

        api = web.Application(middlewares=[refusals, keyed(KEY, "Token")])
        Routes(self.state, self.uploads, servers, lambda: self.url).add_to(api)
        SiteRoutes(self.site, self.uploads.store, lambda: self.url).add_to(api)
        api.on_cleanup.append(end)
        return api, self.uploads.store.application()

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings that connect a profile to it."""
        return {"endpoint": self.url, "api_key": KEY, "computer": COMPUTER}

    def fail_next(self, task: str, message: str) -> None:
        """Let the next job of a task fail.

        Args:
            task: `provision_computer`, `provision_webapp`, `deploy_space` or `promote_space`.
            message: The last line of its log.
        """
        self.call(lambda: self.state.fail_next(task, message))

    def fail(self, *faults: StorageFault) -> None:
        """Let the storage of uploads fail at what comes next."""
        self.call(lambda: self.uploads.store.fail(*faults))

    def _add_computer(self, name: str) -> None:
        _, job = self.state.create_computer(
            {"display_name": "Box One", "name": name, "size": "S", "region": "singapore"}
        )
        job.finish()
        del self.state.jobs[job.id]
