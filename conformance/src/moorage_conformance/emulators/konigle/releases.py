"""Archives that were deployed: whether they can run, and unpacking those that do."""

import tomllib
import zipfile
from pathlib import Path
from typing import Any

import msgspec

from moorage.errors import MoorageError
from moorage.plugin.archive import unpack_zip

CONFIG = "bentocloud.toml"
IMAGE = "Dockerfile"


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """The process of a release that answers requests."""

    command: str
    port: int
    health_check: str | None


class Release:
    """One archive.

    Attributes:
        path: The archive.
        flaw: Why it cannot run; `None` where it can.
        processes: What its configuration declares.
        release_commands: What is run before the processes start.
    """

    def __init__(self, path: Path) -> None:
        """Look at an archive.

        Raises:
            zipfile.BadZipFile: It is none.
        """
        self.path = path
        self.processes: dict[str, Any] = {}
        self.release_commands: list[str] = []
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            self.flaw = self._flaw(archive, names)

    def http_process(self, *, uat: bool) -> Process | None:
        """Return the process that answers requests, with what counts on that stage."""
        for process in self.processes.values():
            command = process.get("uat_command") if uat else None
            command = command or process.get("command")
            if process.get("http") and isinstance(command, str):
                port = process.get("uat_http_port") if uat else None
                return Process(
                    command=command,
                    port=port or process.get("http_port") or 8000,
                    health_check=process.get("health_check"),
                )
        return None

    def unpack(self, into: Path) -> Path:
        """Unpack the archive into a directory beside it, once, and return that."""
        target = into / self.path.stem
        if not target.exists():
            target.mkdir()
            try:
                unpack_zip(self.path, target)
            except MoorageError:
                target.rmdir()
                raise
        return target

    def _flaw(self, archive: zipfile.ZipFile, names: set[str]) -> str | None:
        for name in (IMAGE, CONFIG):
            if name not in names:
                return f"{name} is missing"
        try:
            config = tomllib.loads(archive.read(CONFIG).decode())
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
            return f"{CONFIG} cannot be read: {exc}"
        processes = config.get("processes")
        if not isinstance(processes, dict) or not processes:
            return f"{CONFIG} has no [processes]"
        for name, process in processes.items():
            if not isinstance(process, dict) or not isinstance(process.get("command", ""), str):
                return f"{CONFIG}: [processes.{name}] is no process"
        self.processes = processes
        self.release_commands = list(config.get("deploy", {}).get("release_commands", []))
        return None
