"""One project: everything that it holds, and one lock for all of it."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ._artifacts import App, Artifacts
from ._deployments import MACHINES, MOST_REPLICAS, Deployment, Operation
from ._errors import ApiError, invalid, not_found
from ._jobs import Job
from ._logs import Log
from ._moments import now
from ._programs import Program


class Project:
    """What requests act on."""

    def __init__(self, directory: Path) -> None:
        self.artifacts = Artifacts(directory)
        self.lock = threading.RLock()
        self._deployments: dict[str, Deployment] = {}
        self._operations: dict[str, Operation] = {}
        self._jobs: dict[str, Job] = {}
        self._keys: dict[str, Job] = {}
        self._secrets: dict[str, dict[str, Any]] = {}
        self._count = 0

    def close(self) -> None:
        """End everything that runs."""
        for job in self._jobs.values():
            job.close()
        for deployment in list(self._deployments.values()):
            deployment.close()

    # Artifacts ------------------------------------------------------------------------------------

    def delete_artifact(self, name: str, version: str) -> None:
        """Delete a version that nothing uses."""
        item = self.artifacts.get(name, version)
        reference = f"{name}:{version}"
        users = [d.name for d in self._deployments.values() if d.spec["artifact"] == reference]
        users += [job.id for job in self._jobs.values() if job.uses(artifact=reference)]
        _refuse_used(f"artifact {reference}", users)
        self.artifacts.delete(item)

    # Deployments ----------------------------------------------------------------------------------

    def put_deployment(
        self, name: str, spec: dict[str, Any], *, create: bool, revision: str | None
    ) -> Operation:
        """Create a deployment, or replace the revision that is there."""
        if spec["machine"] not in {None, *MACHINES}:
            raise invalid(f"a machine is one of {', '.join(MACHINES)}")
        if (spec["replicas"] or 1) > MOST_REPLICAS:
            raise ApiError(402, "quota_exceeded", f"there are at most {MOST_REPLICAS} replicas")
        there = self._deployments.get(name)
        if create and there is not None:
            raise ApiError(412, "name_taken", f"there is a deployment {name}")
        if not create and there is None:
            raise not_found(f"deployment {name}")
        if there is not None and (there.removal or revision != str(there.revision)):
            raise ApiError(412, "changed", f"deployment {name} was changed")
        app = self._service(spec["artifact"])
        env = self._environment(spec)
        if there is None:
            there = Deployment(self._next(), name, lambda: self._forget(name))
            self._deployments[name] = there
        operation = self._operation(there)
        there.replace(spec, app, env, operation)
        return operation

    def deployment(self, name: str) -> Deployment:
        """Return one deployment."""
        if name not in self._deployments:
            raise not_found(f"deployment {name}")
        return self._deployments[name]

    def deployments(self) -> list[dict[str, Any]]:
        """Return all deployments, by name."""
        return [self._deployments[name].shown() for name in sorted(self._deployments)]

    def start(self, name: str) -> Operation:
        """Start a deployment; one that runs, or is about to, is left as it is."""
        deployment = self._lasting(name)
        operation = self._operation(deployment)
        if deployment.status in {"halted", "crashed"}:
            spec = deployment.spec
            deployment.start(self._service(spec["artifact"]), self._environment(spec), operation)
        else:
            operation.status = "done"
        return operation

    def halt(self, name: str) -> Operation:
        """Halt a deployment; one that is halted is left as it is."""
        deployment = self._lasting(name)
        operation = self._operation(deployment)
        if deployment.status == "halted":
            operation.status = "done"
        else:
            deployment.halt(operation)
        return operation

    def remove(self, name: str) -> Operation:
        """Delete a deployment; one that is on its way out goes on."""
        deployment = self.deployment(name)
        operation = deployment.removal or self._operation(deployment)
        if deployment.removal is None:
            deployment.remove(operation)
        return operation

    def operation(self, operation: str) -> Operation:
        """Return one operation."""
        if operation not in self._operations:
            raise not_found(f"operation {operation}")
        return self._operations[operation]

    def serving(self, name: str) -> Program:
        """Return what answers the requests of a deployment."""
        program = self.deployment(name).program
        if program is None:
            raise ApiError(409, "not_serving", f"deployment {name} does not serve")
        return program

    def _lasting(self, name: str) -> Deployment:
        deployment = self.deployment(name)
        if deployment.removal is not None:
            raise ApiError(409, "changed", f"deployment {name} is being deleted")
        return deployment

    def _service(self, reference: str) -> App:
        app = self.artifacts.app(self.artifacts.find(reference))
        if app.manifest.service is None:
            raise invalid(f"{reference} has no [service]")
        return app

    def _operation(self, deployment: Deployment) -> Operation:
        operation = Operation(self._next(), deployment)
        self._operations[operation.id] = operation
        return operation

    def _forget(self, name: str) -> None:
        with self.lock:
            del self._deployments[name]

    # Logs -----------------------------------------------------------------------------------------

    def log(self, kind: str, key: str) -> Log:
        """Return the log of a deployment or a job."""
        if kind == "deployment":
            return self.deployment(key).log
        return self.job(key).log

    # Jobs -----------------------------------------------------------------------------------------

    def create_job(self, new: dict[str, Any]) -> Job:
        """Run an entry point; a key that was seen gives the job that it began."""
        if new["key"] and new["key"] in self._keys:
            return self._keys[new["key"]]
        if new["machine"] not in {None, *MACHINES}:
            raise invalid(f"a machine is one of {', '.join(MACHINES)}")
        app = self.artifacts.app(self.artifacts.find(new["artifact"]))
        if new["entrypoint"] not in app.manifest.jobs:
            raise ApiError(
                422,
                "no_such_entrypoint",
                f"{new['artifact']} has no entry point {new['entrypoint']}",
            )
        job = Job(self._next(), new, app, self._environment(new))
        self._jobs[job.id] = job
        if new["key"]:
            self._keys[new["key"]] = job
        job.begin()
        return job

    def job(self, job_id: str) -> Job:
        """Return one job."""
        if job_id not in self._jobs:
            raise not_found(f"job {job_id}")
        return self._jobs[job_id]

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs, newest first, without outputs."""
        return [job.shown(output=False) for job in reversed(self._jobs.values())]

    # Secrets --------------------------------------------------------------------------------------

    def put_secret(self, name: str, new: dict[str, Any]) -> dict[str, Any]:
        """Create a secret or replace its values; a note that is not given stays."""
        there = self._secrets.get(name)
        moment = now()
        self._secrets[name] = {
            "id": there["id"] if there else f"sec-{self._next()}",
            "name": name,
            "keys": sorted(new["values"]),
            "note": new.get("note", there["note"] if there else ""),
            "values": new["values"],
            "created": there["created"] if there else moment,
            "updated": moment,
        }
        return self.secret(name)

    def secret(self, name: str, *, reveal: bool = False) -> dict[str, Any]:
        """Return one secret."""
        if name not in self._secrets:
            raise not_found(f"secret {name}")
        found = self._secrets[name]
        return {**found, "values": found["values"] if reveal else None}

    def secrets(self) -> list[dict[str, Any]]:
        """Return all secrets, by name and without values."""
        return [self.secret(name) for name in sorted(self._secrets)]

    def delete_secret(self, name: str) -> None:
        """Delete a secret that nothing uses."""
        self.secret(name)
        users = [d.name for d in self._deployments.values() if name in d.spec["secrets"]]
        users += [job.id for job in self._jobs.values() if job.uses(secret=name)]
        _refuse_used(f"secret {name}", users)
        del self._secrets[name]

    def _environment(self, asked: dict[str, Any]) -> dict[str, str]:
        """Return the variables of an app or a job: its own, and those of its secrets."""
        values: dict[str, str] = dict(asked["env"])
        for name in asked["secrets"]:
            values |= self.secret(name, reveal=True)["values"]
        return values

    def _next(self) -> int:
        self._count += 1
        return self._count


def _refuse_used(what: str, users: Iterable[str]) -> None:
    found = ", ".join(users)
    if found:
        raise ApiError(409, "in_use", f"{what} is used by {found}")
