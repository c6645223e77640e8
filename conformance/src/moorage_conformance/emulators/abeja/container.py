"""Running code versions for real, where the emulator was asked to."""

import asyncio
import json
import os
import shutil
import sys
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moorage.errors import MoorageError
from moorage.plugin.archive import unpack_tar, unpack_zip

from . import runtime
from .state import ORGANIZATION_ID, Deployment, Service, Version, World

_MAKING = threading.Lock()
_RUNTIME = "_abeja_runtime"
_RESERVED = "MOORAGE_"  # by the provider that runs the containers, for its own variables
_MANIFEST = f"""\
[artifact]
name = "code-version"
{{requirements}}
[service]
app = "{_RUNTIME}:app"
health = "/health_check"

[jobs.run]
handler = "{_RUNTIME}:run"
"""


def code_of(world: World, version: Version) -> Path | None:
    """Return an app that is the container with the code of a version in it.

    It is made once; `None` where no code was uploaded, or it is no archive.
    """
    stored = world.store.objects.get(version.key)
    if stored is None:
        return None
    archive = stored.path
    place = world.directory / version.id
    with _MAKING:
        if not place.is_dir():
            code = place / "code"
            code.mkdir(parents=True)
            try:
                if zipfile.is_zipfile(archive):
                    unpack_zip(archive, code)
                else:
                    with archive.open("rb") as stream:
                        unpack_tar(stream, code)
            except MoorageError:
                shutil.rmtree(place)
                return None
            shutil.copyfile(runtime.__file__, place / f"{_RUNTIME}.py")
            wanted = (code / "requirements.txt").is_file()
            requirements = 'requirements = "code/requirements.txt"' if wanted else ""
            manifest = _MANIFEST.format(requirements=requirements)
            (place / "moorage.toml").write_text(manifest, "utf-8")
    return place


def environment_of(
    deployment: Deployment, version: Version, own: Mapping[str, str], **more: str
) -> dict[str, str]:
    """Return the environment of a container: its layers, and what the platform sets.

    In which order the first two layers come is not known. What whoever runs the container keeps
    for itself is carried in one variable, and taken out of it in the container.
    """
    whole = {
        **version.wire["user_parameters"],
        **deployment.wire["default_environment"],
        **own,
        "HANDLER": version.wire["handler"],
        "ABEJA_ORGANIZATION_ID": ORGANIZATION_ID,
        "ABEJA_DEPLOYMENT_ID": deployment.id,
        "ABEJA_MODEL_VERSION": version.wire["version"],
        "ABEJA_MODEL_VERSION_ID": version.id,
        **more,
    }
    carried = {name: whole.pop(name) for name in list(whole) if name.startswith(_RESERVED)}
    return {**whole, runtime.CARRIED: json.dumps(carried)} if carried else whole


async def start_container(world: World, deployment: Deployment, service: Service) -> bool:
    """Let a service be called, and return whether it comes up.

    Its process is started by the first call. Before, the handler is imported once for each
    version, unless it needs packages: what cannot be imported cannot come up.
    """
    apps = world.apps
    if apps is None:
        return True
    code = await asyncio.to_thread(code_of, world, service.version)
    if code is None:
        return False
    service.log.begin()
    environment = environment_of(
        deployment,
        service.version,
        service.wire["user_env_vars"],
        ABEJA_SERVICE_ID=service.id,
        SERVICE_TYPE="HTTP",
    )
    if service.version.failure is None:
        service.version.failure = await _failure(code, environment)
    if service.version.failure:
        for line in service.version.failure.splitlines():
            service.log.add(line, world.now())
        return False
    apps.deploy(service.id, code, environment)
    return True


async def _failure(code: Path, environment: Mapping[str, str]) -> str:
    """Return what is said where a handler cannot be imported; nothing where it can."""
    if (code / "code" / "requirements.txt").is_file():
        return ""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"import {_RUNTIME}; {_RUNTIME}.handler()",
        cwd=code,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await child.communicate()
    return said.decode("utf-8", "replace") or "it ended" if child.returncode else ""


async def stop_container(world: World, service: Service) -> None:
    """End what runs for a service; what it wrote is kept."""
    if world.apps is not None:
        await read_container(world, service)
        await asyncio.to_thread(world.apps.remove, service.id)


async def read_container(world: World, service: Service) -> None:
    """Bring a service's log up to date."""
    if world.apps is not None:
        records = await asyncio.to_thread(world.apps.deployment_log, service.id)
        service.log.take(records, world.now())


async def submit_run(
    world: World,
    deployment: Deployment,
    version: Version,
    value: dict[str, Any],
    own: Mapping[str, str],
    retries: int,
    run_id: str,
) -> str | None:
    """Begin a run and return the id of its job; `None` where the version has no code."""
    apps = world.apps
    code = await asyncio.to_thread(code_of, world, version) if apps is not None else None
    if apps is None or code is None:
        return None
    environment = environment_of(deployment, version, own, ABEJA_RUN_ID=run_id)
    return await asyncio.to_thread(
        apps.submit, code, "run", input=value, env=environment, retries=retries
    )
