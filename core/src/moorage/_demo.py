"""The main job, done for real on any provider: what `moorage demo` runs.

Nothing here is prepared for one provider. Every step asks for what it needs; what the provider
does not have is refused by the portable layer and counts as refused, never as done.
"""

import csv
import importlib.util
import json
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

from ._artifact import Artifact
from ._capability import SupportLevel
from ._cloud import Cloud
from ._deployment import Deployment, Reply
from ._redaction import SecretValue
from .errors import MoorageError, UnsupportedError

APP = Path(__file__).parent / "_demo_app"
"""The app that is deployed: `examples/iris` of the repository, which every wheel carries."""

Tell = Callable[[str], None]

_READY_S = 900.0
_JOB_S = 600.0
_LOG_S = 120.0
_CLIENTS = 2
_SHOWN = 5


class DemoStep(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one step."""

    name: str
    """What was done, in one word."""

    outcome: str
    """`done`, `emulated` (moorage bridged something), `refused` (the provider cannot) or
    `failed`."""

    detail: str
    """What was seen."""

    seconds: float
    """How long it took."""


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the whole demo."""

    provider: str
    """On which provider."""

    ok: bool
    """Whether no step failed."""

    steps: tuple[DemoStep, ...]
    """In the order they were taken."""


class DemoError(Exception):
    """Something is not as it should be."""


class _Step(NamedTuple):
    name: str
    title: str
    capabilities: tuple[str, ...]
    act: Callable[[], str]


class _Hammer:
    """Clients that call a deployment without a pause, and count what does not succeed."""

    def __init__(self, call: Callable[[], Reply]) -> None:
        self.succeeded = 0
        self.failures: list[str] = []
        self.versions: set[str] = set()
        self._call = call
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, name=f"demo client {number}", daemon=True)
            for number in range(_CLIENTS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, version: str, seconds: float) -> bool:
        """Return whether an answer of that version came in time."""
        deadline = time.monotonic() + seconds
        while version not in self.versions:
            if self._end.wait(0.05) or time.monotonic() > deadline:
                return False
        return True

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                version = str(_checked(self._call())["version"])
            except (MoorageError, DemoError) as exc:
                with self._lock:
                    self.failures.append(str(exc))
            else:
                with self._lock:
                    self.succeeded += 1
                    self.versions.add(version)


class Demo:
    """One run of the main job.

    Everything that it makes has a name of its own, so that nothing else is touched, and all of it
    is deleted in the end, however the run ends.
    """

    def __init__(self, cloud: Cloud, *, alone: bool, tell: Tell, app: Path = APP) -> None:
        """Prepare the run.

        Args:
            cloud: Where it is done.
            alone: Whether nothing else is kept there, as in a temporary home.
            tell: Gets what happens, line by line.
            app: The directory of the app.
        """
        suffix = "" if alone else f"-demo-{secrets.token_hex(3)}"
        self.name = f"iris{suffix}"
        self._cloud = cloud
        self._alone = alone
        self._tell = tell
        self._app = app.resolve()
        self._model = json.loads((self._app / "model.json").read_text("utf-8"))
        self._secret = SecretValue(f"demo-{secrets.token_hex(8)}")
        self._has_secret = False
        self._has_deployment = False
        self._artifacts: list[Artifact] = []
        self._deployment: Deployment | None = None
        self._job_id: str | None = None
        self._refused: dict[str, str] = {}
        self._begun = datetime.now(UTC)

    def run(self) -> Generator[DemoStep]:
        """Take the steps and yield what became of each; the last one deletes everything."""
        steps = (
            _Step("push", "store the app", ("artifacts.push", "artifacts.kind.app"), self._push),
            _Step(
                "deploy",
                "run it, and wait until it is ready",
                ("deployments.deploy",),
                self._deploy,
            ),
            _Step("call", "ask it about flowers", ("deployments.call",), self._call),
            _Step("logs", "follow its log", ("logs.follow.deployment",), self._logs),
            _Step("job", "run its batch job over all flowers", (self._job_capability,), self._job),
            _Step(
                "secret",
                "store a secret and give it to the app",
                ("secrets.put", "deployments.secrets", "deployments.update"),
                self._use_secret,
            ),
            _Step(
                "update",
                "replace it by its next version while it is called without a pause",
                ("deployments.update",),
                self._update,
            ),
            _Step("stop", "stop it", ("deployments.stop",), self._stop),
        )
        delete = _Step(
            "delete",
            "delete everything, and look whether something is left",
            ("deployments.delete", "artifacts.delete"),
            self._delete,
        )
        try:
            for number, step in enumerate(steps, 1):
                self._tell(f"{number}/{len(steps) + 1} {step.name}: {step.title}")
                result = self._take(step)
                yield result
                if result.outcome == "failed":
                    break
        finally:
            self._tell(f"{len(steps) + 1}/{len(steps) + 1} {delete.name}: {delete.title}")
            last = self._take(delete)
        yield last

    def _take(self, step: "_Step") -> DemoStep:
        begun = time.perf_counter()
        levels = {self._cloud.capabilities[key].level for key in step.capabilities}
        try:
            detail = step.act()
            outcome = "emulated" if SupportLevel.EMULATED in levels else "done"
        except UnsupportedError as exc:
            outcome, detail = "refused", exc.message
            self._refused[step.name] = exc.message
        except (MoorageError, DemoError) as exc:
            outcome, detail = "failed", str(exc)
        except Exception as exc:  # noqa: BLE001  # an answer of another shape, for example
            outcome, detail = "failed", f"{type(exc).__name__}: {exc}"
        seconds = round(time.perf_counter() - begun, 3)
        return DemoStep(name=step.name, outcome=outcome, detail=detail, seconds=seconds)

    # The steps ------------------------------------------------------------------------------------

    def _push(self) -> str:
        self._tell(f"  {self._app}")
        artifact = self._cloud.artifacts.push(self._app, name=self.name)
        self._artifacts.append(artifact)
        digest = f", {artifact.digest}" if artifact.digest else ""
        return f"artifact {artifact.ref}{digest}"

    def _deploy(self) -> str:
        artifact = self._pushed()
        env = self._env(version=1)
        self._has_deployment = True  # it may be there even if the call fails
        operation = self._cloud.deployments.deploy(self.name, artifact, env=env)
        self._deployment = operation.result(timeout=_READY_S)
        return f"{self._deployment.state} at {self._deployment.url or 'an address of its own'}"

    def _call(self) -> str:
        self._deployed()
        rows, labels = _read_rows(self._app / "holdout.csv")
        reply = self._predict(rows)
        answers = _checked(reply)["predictions"]
        for row, label, answer in list(zip(rows, labels, answers, strict=True))[
            :: len(rows) // _SHOWN
        ]:
            guess = answer["species"]
            share = f"{answer['probabilities'][guess]:.1%}"
            self._tell(f"  {row} is {guess}, {share} sure; the botanist said {label}")
        right = sum(a["species"] == label for a, label in zip(answers, labels, strict=True))
        expected = round(self._model["holdout_accuracy"] * self._model["holdout_rows"])
        if (right, len(rows)) != (expected, self._model["holdout_rows"]):
            raise DemoError(
                f"{right} of {len(rows)} held-out flowers are predicted right, not {expected}"
            )
        return f"{right} of {len(rows)} flowers that the training did not see are predicted right"

    def _logs(self) -> str:
        deployment = self._deployed()
        since = self._begun if self._cloud.supports("logs.since") else None
        follow = self._cloud.logs.follow(deployment, since=since)
        # The log of something that runs has no end, so that somebody has to end the wait.
        alarm = threading.Timer(_LOG_S, follow.close)
        alarm.daemon = True
        alarm.start()
        begun, count, wanted = datetime.now(UTC), 0, "POST /predict 200"
        try:
            with closing(follow):
                self._predict([[5.1, 3.5, 1.4, 0.2]])
                for record in follow:
                    count += 1
                    self._tell(f"  | {record.message}")
                    is_new = record.timestamp is None or record.timestamp >= begun
                    if wanted in record.message and is_new:
                        return f"{count} records, the last one of a call made meanwhile: {wanted}"
        finally:
            alarm.cancel()
        raise DemoError(
            f"no new {wanted!r} was in the log within {_LOG_S:g} s; it ended: {follow.reason}"
        )

    @property
    def _job_capability(self) -> str:
        by_artifact = "jobs.submit.artifact"
        return by_artifact if self._cloud.supports(by_artifact) else "jobs.submit.deployment"

    def _job(self) -> str:
        by_artifact = self._job_capability == "jobs.submit.artifact"
        owner = self._pushed() if by_artifact else self._deployed()
        rows = self._model["training_rows"] + self._model["holdout_rows"]
        text = (self._app / "iris.csv").read_text("utf-8")
        job = self._cloud.jobs.submit(owner, "score", input={"csv": text})
        self._job_id = job.id
        output = self._cloud.jobs.wait(job, timeout=_JOB_S).output
        self._job_id = None
        expected = sum(
            round(self._model[f"{part}_accuracy"] * self._model[f"{part}_rows"])
            for part in ("training", "holdout")
        )
        right = round(output["accuracy"] * output["rows"])
        if (output["rows"], right) != (rows, expected):
            raise DemoError(
                f"the job found {right} of {output['rows']} right, not {expected} of {rows}"
            )
        counts = ", ".join(f"{count} {species}" for species, count in output["counts"].items())
        return f"{right} of {rows} right: {counts}"

    def _use_secret(self) -> str:
        self._deployed()
        self._has_secret = True
        self._cloud.secrets.put(self.name, {"IRIS_API_KEY": self._secret})
        operation = self._cloud.deployments.update(self.name, secrets=[self.name])
        self._deployment = operation.result(timeout=_READY_S)
        reply = self._cloud.deployments.call(self.name, "GET", "/")
        shown = _checked(reply)["api_key"]
        if shown != "de***":
            raise DemoError(f"the app shows {shown!r}, not the masked secret")
        if self._secret.reveal() in reply.text:
            raise DemoError("the app shows the secret itself")
        return f"the app has it in its environment and shows {shown}"

    def _update(self) -> str:
        self._deployed()
        self._tell("  the next version has been trained on all flowers")
        artifact = self._push_next()
        env = self._env(version=2)
        changes: dict[str, Any] = {"env": env} if env else {}
        with _Hammer(lambda: self._predict([[6.3, 3.3, 6.0, 2.5]])) as hammer:
            # The old version answers before the change begins, and the new one after it.
            if not hammer.wait_for("1" if env else "unversioned", _LOG_S):
                raise DemoError(f"the first version does not answer: {hammer.failures[:3]}")
            operation = self._cloud.deployments.update(self.name, artifact=artifact, **changes)
            self._deployment = operation.result(timeout=_READY_S)
            replaced = hammer.wait_for("2" if env else "unversioned", _LOG_S)
        if not replaced:
            raise DemoError("the second version never answered")
        if hammer.failures:
            raise DemoError(
                f"{len(hammer.failures)} of {hammer.succeeded + len(hammer.failures)} requests"
                f" failed meanwhile: {hammer.failures[0]}"
            )
        return f"{artifact.ref} serves; {hammer.succeeded} requests meanwhile, 0 failed"

    def _stop(self) -> str:
        self._deployed()
        deployment = self._cloud.deployments.stop(self.name).result(timeout=_READY_S)
        self._deployment = deployment
        try:
            reply = self._predict([[5.1, 3.5, 1.4, 0.2]])
        except MoorageError:
            return f"{deployment.state}; nobody answers any more"
        if reply.ok:
            raise DemoError("it was stopped and still answers")
        return f"{deployment.state}; it answers {reply.status}"

    def _delete(self) -> str:
        cloud, left = self._cloud, list[str]()
        parts = (
            self._cancel_job,
            self._delete_deployment,
            self._delete_artifacts,
            self._delete_secret,
        )
        problems = [problem for part in parts if (problem := self._try_to(part))]
        stays = []
        if self._artifacts and not cloud.supports("artifacts.delete"):
            stays.append(f"artifact {self.name} stays: {self._reason('artifacts.delete')}")
        elif self._artifacts and cloud.supports("artifacts.list"):
            left += [f"artifact {a.ref}" for a in cloud.artifacts.list(self.name)]
        if self._has_deployment and not cloud.supports("deployments.delete"):
            stays.append(f"deployment {self.name} stays: {self._reason('deployments.delete')}")
        elif self._has_deployment and cloud.supports("deployments.list"):
            left += [
                f"deployment {d.name}"
                for d in cloud.deployments.list()
                if (self._alone or d.name == self.name) and d.state != "terminated"
            ]
        if self._has_secret and cloud.supports("secrets.list"):
            left += [
                f"secret {s.name}"
                for s in cloud.secrets.list()
                if self._alone or s.name == self.name
            ]
        if problems or left:
            raise DemoError("; ".join([*problems, *(f"{thing} is left" for thing in left)]))
        if stays:
            raise UnsupportedError("; ".join(stays))
        return "nothing is left"

    def _reason(self, capability: str) -> str:
        return self._cloud.capabilities[capability].reason

    # What the steps share -------------------------------------------------------------------------

    def _pushed(self) -> Artifact:
        if not self._artifacts:
            raise UnsupportedError(f"there is no artifact: {self._refused.get('push', '')}")
        return self._artifacts[0]

    def _deployed(self) -> Deployment:
        if self._deployment is None:
            raise UnsupportedError(f"there is no deployment: {self._refused.get('deploy', '')}")
        return self._deployment

    def _env(self, *, version: int) -> dict[str, str]:
        return {"IRIS_VERSION": str(version)} if self._cloud.supports("deployments.env") else {}

    def _predict(self, rows: list[list[float]]) -> Reply:
        return self._cloud.deployments.call(self.name, "POST", "/predict", json={"rows": rows})

    def _push_next(self) -> Artifact:
        with tempfile.TemporaryDirectory(prefix="moorage-demo-") as directory:
            copy = Path(directory) / "iris"
            shutil.copytree(self._app, copy, ignore=shutil.ignore_patterns("__pycache__"))
            _train_on_everything(copy)
            artifact = self._cloud.artifacts.push(copy, name=self.name)
        self._artifacts.append(artifact)
        return artifact

    def _try_to(self, act: Callable[[], None]) -> str | None:
        """Do one part of the cleaning up; the others follow whatever becomes of it."""
        try:
            act()
        except UnsupportedError:
            return None  # what cannot be deleted was declared so
        except (MoorageError, DemoError) as exc:
            return str(exc)
        return None

    def _delete_deployment(self) -> None:
        if self._has_deployment:
            operation = self._cloud.deployments.delete(self.name, missing_ok=True)
            operation.result(timeout=_READY_S)

    def _delete_artifacts(self) -> None:
        for artifact in self._artifacts:
            self._cloud.artifacts.delete(artifact, missing_ok=True)

    def _cancel_job(self) -> None:
        if self._job_id is not None:
            self._cloud.jobs.cancel(self._job_id)

    def _delete_secret(self) -> None:
        if self._has_secret:
            self._cloud.secrets.delete(self.name, missing_ok=True)


def _checked(reply: Reply) -> Any:
    if not reply.ok:
        raise DemoError(f"the app answered {reply.status}: {reply.text[:200]}")
    return reply.json()


def _read_rows(path: Path) -> tuple[list[list[float]], list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        _, *lines = csv.reader(file)
    return [[float(cell) for cell in line[:-1]] for line in lines], [line[-1] for line in lines]


def _train_on_everything(app: Path) -> None:
    """Replace an app's model by one that has seen every flower."""
    spec = importlib.util.spec_from_file_location("_demo_classifier", app / "classifier.py")
    if spec is None or spec.loader is None:
        raise DemoError(f"{app} holds no classifier")
    classifier = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(classifier)
    rows, labels = _read_rows(app / "iris.csv")
    model = classifier.Classifier.fit(rows, labels)
    path = app / "model.json"
    document = json.loads(path.read_text("utf-8"))
    document |= {
        "species": model.species,
        "weights": model.weights,
        "biases": model.biases,
        "training_rows": len(rows),
        "training_accuracy": model.accuracy(rows, labels),
    }
    path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
