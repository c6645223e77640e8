"""Running for real what is deployed: the pack that was uploaded, unpacked as the cloud would."""

import asyncio
import contextlib
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from moorage.errors import MoorageError, OperationFailedError
from moorage.plugin import LogRecord, Reply
from moorage.plugin.archive import unpack_tar

from .._apps import AppRunner
from .._object_store import ObjectStore
from .._stored_object import StoredObject
from .errors import ApiError
from .pods import Log, Pod
from .state_deployments import Deployment, Target, variables
from .state_secrets import SecretStore

_APP_FILE = "moorage.toml"
_BENTO_FILE = "bento.yaml"
_SOURCES = "src"


class Runner:
    """The processes of all deployments.

    A portable app is started with its deployment, a bento of another kind by the first call, since
    the packages that it needs are a large thing to install. What has been seen to start before,
    with the same variables, is started by the first call too. There is one process, however many
    pods are shown: what it writes stands in the log of the first of them.
    """

    def __init__(self, apps: AppRunner, storage: ObjectStore, secrets: SecretStore) -> None:
        self._apps = apps
        self._storage = storage
        self._secrets = secrets
        self._runs: dict[str, _Run] = {}
        self._packs: dict[str, Path] = {}
        self._seen: set[tuple[Path, frozenset[tuple[str, str]]]] = set()
        self._unpacking = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._place: Path | None = None

    async def portable(self, deployment: Deployment) -> bool:
        """Return whether a deployment runs a portable app, and no bento of another kind."""
        return (await self._run(deployment)).portable

    async def begin(self, deployment: Deployment) -> None:
        """Start what was just deployed; the deployment has failed if that cannot be."""
        if deployment.dev or not deployment.pods:
            return  # its files come later, or it waits for a call
        try:
            run = await self._run(deployment)
        except ApiError as error:
            deployment.fail("image-build-failed")
            deployment.pods[0].log.write([error.text])
            return
        if run.portable and run.key not in self._seen:
            with contextlib.suppress(ApiError):
                await self.start(deployment)

    async def start(self, deployment: Deployment) -> None:
        """Start what a deployment runs, and return once it is ready.

        Raises:
            ApiError: It does not get there; the deployment has failed then.
        """
        run = await self._run(deployment)
        if run.serves:
            with _failing(deployment):
                await asyncio.to_thread(self._apps.start, run.name)
        self._seen.add(run.key)

    async def call(
        self,
        deployment: Deployment,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
    ) -> Reply:
        """Send a request to what a deployment runs and return what it answers.

        Raises:
            ApiError: It cannot run; the deployment has failed then.
        """
        run = await self._run(deployment)
        if not run.serves:
            raise ApiError("Not Found", 404)
        with _failing(deployment):
            return await asyncio.to_thread(
                self._apps.call, run.name, method, target, headers=headers, body=body
            )

    async def submit(self, deployment: Deployment, entrypoint: str, value: Any) -> str:
        """Begin to run a job of what a deployment runs and return its id."""
        run = await self._run(deployment)
        job: str = await asyncio.to_thread(
            self._apps.submit, run.source, entrypoint, input=value, env=run.env
        )
        run.jobs[job] = 0
        return job

    async def job(self, job_id: str) -> Any:
        """Return a job as it is now."""
        return await asyncio.to_thread(self._apps.job, job_id)

    async def cancel(self, job_id: str) -> None:
        """Ask for the end of a job."""
        await asyncio.to_thread(self._apps.cancel, job_id)

    async def read(self, deployment: Deployment) -> None:
        """Bring the log of a deployment's first pod up to date."""
        run = self._runs.get(deployment.run_name)
        if run is not None and deployment.pods:
            await self._read(run, deployment.pods[0].log)

    def stop(self, deployment: Deployment, pods: Sequence[Pod]) -> None:
        """End what a deployment runs; the logs of its pods end once all is read."""
        task = asyncio.ensure_future(self._stop(self._runs.pop(deployment.run_name, None), pods))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Remove what was unpacked."""
        if self._place is not None:
            await asyncio.to_thread(shutil.rmtree, self._place, ignore_errors=True)

    async def _stop(self, run: "_Run | None", pods: Sequence[Pod]) -> None:
        try:
            if run is not None and pods:
                await self._read(run, pods[0].log)
        finally:
            for pod in pods:
                pod.log.end()
        if run is not None:
            await asyncio.to_thread(self._apps.remove, run.name)

    async def _read(self, run: "_Run", log: Log) -> None:
        async with run.reading:
            records = await asyncio.to_thread(self._apps.deployment_log, run.name)
            _write(log, records[run.lines :])
            run.lines = len(records)
            for job, lines in list(run.jobs.items()):
                ended = (await self.job(job)).state.terminal
                records = await asyncio.to_thread(self._apps.job_log, job)
                _write(log, records[lines:])
                run.jobs[job] = len(records)
                if ended:
                    del run.jobs[job]

    async def _run(self, deployment: Deployment) -> "_Run":
        """Return what a deployment runs, which is made known if it was not."""
        assert deployment.revision is not None  # noqa: S101  # it was deployed
        target = deployment.revision.main
        async with self._unpacking:
            found = self._runs.get(deployment.run_name)
            if found is None:
                source = await self._source(target)
                found = _Run(deployment.run_name, source, self._environment(deployment, target))
                self._apps.deploy(found.name, source, found.env)
                self._runs[found.name] = found
            return found

    async def _source(self, target: Target) -> Path:
        """Return the directory of an app or a bento, unpacked once."""
        stored = self._storage.objects.get(target.bento.key)
        if stored is None:
            msg = f"bento {target.bento.tag} has no content"
            raise ApiError(msg, 503)
        place = self._packs.get(stored.etag)
        if place is None:
            if self._place is None:
                self._place = Path(tempfile.mkdtemp(prefix="moorage-bentocloud-apps-"))
            place = self._place / stored.path.name
            try:
                await asyncio.to_thread(_unpack, stored, place)
            except MoorageError as error:
                msg = f"the image of bento {target.bento.tag} cannot be built: {error}"
                raise ApiError(msg, 503) from error
            self._packs[stored.etag] = place
        for each in (place / _SOURCES, place):
            if (each / _APP_FILE).is_file():
                return each
        return place

    def _environment(self, deployment: Deployment, target: Target) -> dict[str, str]:
        """Return the variables of the entry service.

        What comes before what is as in a pod: the image, secrets as a whole, single variables.
        """
        found = {
            each["name"]: each["value"]
            for each in (target.bento.manifest or {}).get("envs") or ()
            if each.get("value") and each.get("stage") != "build"
        }
        for name in target.config.get("secrets") or ():
            secret = self._secrets.get(deployment.cluster, name)
            if secret.content.type == "env" and secret.content.stage != "build":
                found.update(secret.values())
        return {**found, **variables(target, target.services()[0])}


class _Run:
    """What one revision of a deployment runs."""

    def __init__(self, name: str, source: Path, env: dict[str, str]) -> None:
        self.name = name
        self.source = source
        self.portable = (source / _APP_FILE).is_file()
        self.serves = not self.portable or "service" in tomllib.loads(
            (source / _APP_FILE).read_text("utf-8")
        )
        """Whether there is more to call than jobs."""
        self.env = env
        self.key = (source, frozenset(env.items()))
        self.lines = 0
        """How many lines of its log were read."""
        self.jobs: dict[str, int] = {}
        """The jobs whose logs may go on, and how many lines of each were read."""
        self.reading = asyncio.Lock()


@contextlib.contextmanager
def _failing(deployment: Deployment) -> Iterator[None]:
    """Let a deployment fail if what it runs does not start."""
    try:
        yield
    except OperationFailedError as error:
        if deployment.pods:
            deployment.pods[0].log.write([error.message])
        deployment.fail()
        msg = f"deployment {deployment.name} does not start"
        raise ApiError(msg, 503) from error
    except MoorageError as error:
        raise ApiError(error.message, 502) from error


def _unpack(stored: StoredObject, place: Path) -> None:
    place.mkdir()
    try:
        with stored.path.open("rb") as stream:
            unpack_tar(stream, place)
    except BaseException:
        shutil.rmtree(place)
        raise


def _write(log: Log, records: Sequence[LogRecord]) -> None:
    for record in records:
        log.write([record.message], record.timestamp)
