"""A cloud of the local provider for tests: apps to deploy, and looking at what really runs."""

import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import moorage
from moorage import Artifact, Cloud, Deployment
from moorage_local import Client, _processes
from moorage_local._processes import ProcessIdentity
from moorage_local._unit import HOME_MARK, MARK

MANIFEST = """
[artifact]
name = "{name}"
{artifact}
[service]
app = "{app}"
{service}
"""

APP = """
import asyncio, json, os, signal, sys, time

VERSION = "{version}"

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    path, _, argument = scope["path"].strip("/").partition("/")
    status, body = 200, b"ok"
    if path == "version":
        body = VERSION.encode()
    elif path == "revision":
        body = os.environ["MOORAGE_REVISION"].encode()
    elif path == "environ":
        body = json.dumps(dict(os.environ)).encode()
    elif path == "scope":
        body = json.dumps([scope["client"], scope["server"], sys.path, os.getcwd()]).encode()
    elif path == "modules":
        import importlib.util
        found = [name for name in argument.split(",") if importlib.util.find_spec(name)]
        body = json.dumps(found).encode()
    elif path == "pid":
        body = json.dumps([os.getpid(), os.getppid()]).encode()
    elif path == "sleep":
        await asyncio.sleep(float(argument))
    elif path == "block":
        time.sleep(float(argument))
    elif path == "die":
        os.kill(os.getppid() if argument == "main" else os.getpid(), signal.SIGKILL)
        await asyncio.sleep(60)
    elif path == "status":
        status = int(argument)
    elif path == "healthz" and os.path.exists(os.environ.get("ILL", "/nowhere")):
        status = 500
    await send({{"type": "http.response.start", "status": status, "headers": []}})
    await send({{"type": "http.response.body", "body": body}})
"""


class LocalCloud:
    """A cloud, and the processes behind it.

    Attributes:
        cloud: Connected to a home of its own.
        home: The home's directory.
    """

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.home = directory / "home"
        self._apps = directory / "apps"
        self._apps.mkdir()
        self._settings: dict[str, Any] = {"idle_timeout": 600.0, **settings}
        self.cloud = self.connect()

    def connect(self) -> Cloud:
        """Open another connection to the same home."""
        return moorage.connect(provider="local", home=self.home, **self._settings)

    @property
    def native(self) -> Client:
        """The provider's own client."""
        native: Client = self.cloud.native
        return native

    def push(
        self,
        name: str,
        *,
        version: str = "1",
        files: dict[str, str | bytes] | None = None,
        app: str = "main:app",
        artifact: str = "",
        service: str = 'health = "/healthz"',
    ) -> Artifact:
        """Push an app; by default one that does what the path says."""
        directory = self._apps / f"{name}-{version}"
        directory.mkdir()
        manifest = MANIFEST.format(name=name, artifact=artifact, app=app, service=service)
        content: dict[str, str | bytes] = {"moorage.toml": manifest}
        if files is None:
            content["main.py"] = APP.format(version=version)
        for path, text in {**content, **(files or {})}.items():
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.cloud.artifacts.push(directory, version=version)

    def deploy(self, name: str, artifact: Artifact, **spec: Any) -> Deployment:
        """Deploy and wait until it serves."""
        return self.cloud.deployments.deploy(name, artifact, **spec).result(timeout=60)

    def get(self, name: str, path: str, **options: Any) -> str:
        """Return what a deployment answers to a path."""
        return self.cloud.deployments.call(name, "GET", path, **options).text

    def delete(self, *names: str) -> None:
        """Delete deployments and wait until they are gone."""
        operations = [self.cloud.deployments.delete(name, missing_ok=True) for name in names]
        for operation in operations:
            operation.result(timeout=60)

    def messages(self, name: str, source: str = "") -> list[str]:
        """Return the log of a deployment."""
        return [
            record.message
            for record in self.cloud.logs.tail(f"deployment/{name}", limit=1000)
            if record.source.startswith(source)
        ]

    def processes(self) -> dict[ProcessIdentity, str]:
        """Return everything that runs for the home, with its command line."""
        found = _processes.find_marked(HOME_MARK, str(self.home))
        return {identity: _processes.command_line(identity.pid) for identity in found}

    def process(self, what: str) -> ProcessIdentity:
        """Return the one process whose command line holds this."""
        (found,) = [one for one, line in self.processes().items() if what in line]
        return found

    def unit_processes(self, name: str) -> list[ProcessIdentity]:
        """Return the processes of the unit that serves a deployment."""
        unit = self.cloud.deployments.get(name).raw["unit"]
        return _processes.find_marked(MARK, unit)

    def close(self) -> None:
        """End everything, and check that nothing is left."""
        self.native.shutdown()
        self.cloud.close()
        assert not self.processes()


@contextmanager
def local_cloud(directory: Path, **settings: Any) -> Iterator[LocalCloud]:
    """Open a local cloud and end all of it at the end."""
    local = LocalCloud(directory, **settings)
    try:
        yield local
    finally:
        local.close()


def eventually(check: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Return the first true value of a check; `None` if there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := check():
            return found
        threading.Event().wait(0.01)
    return None


def kill(identity: ProcessIdentity) -> None:
    """Kill a process and wait until it is gone."""
    _processes.send_signal(identity, signal.SIGKILL)
    assert eventually(lambda: not _processes.is_alive(identity))


def write_wheel(
    directory: Path, name: str, *, version: str = "1.0", code: str = "", script: str = ""
) -> None:
    """Write a wheel with one module, which can be installed without any network."""
    information = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code or f"version = {version!r}\n",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{information}/entry_points.txt": f"[console_scripts]\n{name} = {script}\n",
        f"{information}/RECORD": "",
    }
    with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
