"""All that one emulator holds."""

from collections.abc import Callable
from typing import Protocol

from moorage.plugin import Clock

from .._apps import AppRunner
from .._fault_script import FaultScript
from .._multipart_store import MultipartStore
from .behaviour import Behaviour
from .deployer import Deployer
from .errors import MissingError
from .faults import Refusal, TailFault
from .resources import CLUSTERS, Counter, JsonObject
from .runner import Runner
from .state_artifacts import Artifact, ArtifactStore, models_of
from .state_deployments import Deployment
from .state_secrets import SecretStore, TokenStore
from .tasks import Tasks

TOKEN_HEADER = "X-YATAI-API-TOKEN"  # noqa: S105  # the name of a header


class OwnOrigins(Protocol):
    """What listens where one deployment is called."""

    async def open(self, deployment: Deployment, /) -> str:
        """Listen, and return the URL."""

    async def close(self, url: str, /) -> None:
        """Listen no more."""


class State:
    """The records of the cloud, for the event loop alone."""

    def __init__(
        self,
        clock: Clock,
        behaviour: Behaviour,
        token: str,
        origin: Callable[[int], str],
        apps: AppRunner | None = None,
        own: OwnOrigins | None = None,
    ) -> None:
        """Begin with an organization, its clusters, and nothing in them.

        Args:
            clock: The time.
            behaviour: What can be one way or another.
            token: A token that is good from the beginning.
            origin: Gives the URLs of the object store, number 1, and of the endpoints, number 2.
            apps: Runs what is deployed, if it shall.
            own: Gives each deployment that really runs an origin.
        """
        counter = Counter()
        self.clock = clock
        self.behaviour = behaviour
        self.refusals: FaultScript[Refusal] = FaultScript()
        self.endpoint_refusals: FaultScript[Refusal] = FaultScript()
        self.tail_faults: FaultScript[TailFault] = FaultScript()
        self.storage = MultipartStore(
            clock, lambda: behaviour.storage_url or origin(1), credentials={TOKEN_HEADER}
        )
        self.bentos = ArtifactStore("bento", counter, clock, behaviour, self.storage)
        self.models = ArtifactStore("model", counter, clock, behaviour, self.storage)
        self.secrets = SecretStore(counter, clock, behaviour)
        self.tokens = TokenStore(counter, clock, token)
        self.deployer = Deployer(counter, clock, behaviour, self.bentos, self.secrets)
        self.runner: Runner | None = None
        if apps is not None:
            self.runner = Runner(apps, self.storage, self.secrets)
            self.tasks = Tasks(self.runner, clock)
            self.deployer.on_stop = self.runner.stop
        self._origin = origin
        self._own = own

    @staticmethod
    def cluster(name: str | None) -> str:
        """Return the name of a cluster; the first one where none is named.

        Raises:
            MissingError: There is none.
        """
        if name is None:
            return CLUSTERS[0]
        if name not in CLUSTERS:
            raise MissingError("cluster", name)
        return name

    def urls(self, deployment: Deployment) -> list[str]:
        """Return where a deployment is called."""
        return [deployment.url or f"{self._origin(2)}/{deployment.slug}"]

    async def open_endpoint(self, deployment: Deployment) -> None:
        """Let a new deployment be called."""
        if self.runner is not None and self._own is not None:
            deployment.url = await self._own.open(deployment)

    async def begin(self, deployment: Deployment) -> None:
        """Start what was just deployed, if it shall really run."""
        if self.runner is not None:
            await self.runner.begin(deployment)

    async def close_endpoint(self, deployment: Deployment) -> None:
        """Let a deployment that was deleted be called no more."""
        if self._own is not None and deployment.url:
            await self._own.close(deployment.url)

    def bento_in_full(self, bento: Artifact) -> JsonObject:
        """Return a bento as JSON with its repository and its models in it."""
        models = [each.with_repository() for each in models_of(bento, self.models)]
        return {**bento.with_repository(), "models": models}

    def model_in_full(self, model: Artifact) -> JsonObject:
        """Return a model as JSON with its repository and the bentos that name it in it."""
        bentos = [
            bento.with_repository()
            for bento in self.bentos.newest_first()
            if model in models_of(bento, self.models)
        ]
        return {**model.with_repository(), "bentos": bentos}
