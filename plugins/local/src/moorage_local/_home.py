"""The directory that holds everything the local provider keeps.

HOME/                  0700
    home.json          version of this layout, and the id of the home
    state.db           every record, see `_database`
    secret.key         key of the stored secrets, where there is no OS keyring; 0600
    blobs/ab/cdef…     content, by its SHA-256
    tmp/               what is being written; see `Home.scratch`
    locks/             one file for each lock; see `Home.lock`
    artifacts/         unpacked apps, ready to run
    environments/      virtual environments, by what is installed in them
    deployments/ID/    logs and working directories of a deployment
    jobs/ID/           input, output and logs of a job
    run/               supervisor and agent: configuration, sockets, their own logs
"""

import contextlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from moorage.errors import ConfigError, MoorageError

from ._disk import locked, sync, try_lock, write_atomically

LAYOUT_VERSION = 1

_IDENTITY = "home.json"
_LOCK = ".lock"
_DIRECTORIES = (
    "blobs",
    "tmp",
    "locks",
    "artifacts",
    "environments",
    "deployments",
    "jobs",
    "run",
)
_HINT = "set `home` (or MOORAGE_HOME) to a directory of your own on a local disk"


class Home:
    """One home, checked, and made if it was not there.

    Attributes:
        path: The directory, absolute and without links.
        id: Made once, at its creation; ids and tokens are good only in the home they come from.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the home, or create it.

        Raises:
            ConfigError: The directory cannot be one: not a directory, of another user, not
                writable, holding something else, damaged, or written by a newer version.
        """
        try:
            self.path = Path(os.path.realpath(Path(path).expanduser()))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self.path.mkdir(mode=0o700)
            self._check_directory()
            self.id = self._identity() or self._found()
            self._complete()
        except MoorageError:  # some of them are OSErrors too
            raise
        except (OSError, RuntimeError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else str(exc)
            raise ConfigError(f"{path} cannot be used as the home: {reason}", hint=_HINT) from exc

    def __repr__(self) -> str:
        return f"<Home {str(self.path)!r}>"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path / "state.db"

    @property
    def blobs(self) -> Path:
        """Content by digest."""
        return self.path / "blobs"

    @property
    def tmp(self) -> Path:
        """What is being written."""
        return self.path / "tmp"

    @property
    def run(self) -> Path:
        """What the supervisor and the agent keep."""
        return self.path / "run"

    @property
    def artifacts(self) -> Path:
        """Unpacked apps."""
        return self.path / "artifacts"

    @property
    def environments(self) -> Path:
        """Virtual environments."""
        return self.path / "environments"

    def deployment(self, deployment_id: str) -> Path:
        """Return the directory of one deployment; it may not exist."""
        return self.path / "deployments" / deployment_id

    def job(self, job_id: str) -> Path:
        """Return the directory of one job; it may not exist."""
        return self.path / "jobs" / job_id

    def lock(
        self, name: str, *, shared: bool = False, timeout: float = 60.0
    ) -> AbstractContextManager[None]:
        """Hold a lock that other threads and processes on this home respect.

        It ends with the process, however that ends. It is not re-entrant.

        Args:
            name: Which one; a plain file name.
            shared: Hold it together with others that want it shared.
            timeout: Seconds to wait for it; 0 tries once.

        Raises:
            UnavailableError: Somebody else held it all the time.
        """
        return locked(self.path / "locks" / f"{name}.lock", shared=shared, timeout=timeout)

    @contextlib.contextmanager
    def scratch(self, purpose: str) -> Iterator[Path]:
        """Make a directory for what is being written, and remove it at the end.

        One whose process was killed is removed by `sweep`, which leaves it alone as long as the
        process lives.

        Args:
            purpose: Begins its name, for whoever looks into `tmp`.
        """
        while True:
            directory = self.tmp / f"{purpose}-{uuid.uuid4().hex}"
            directory.mkdir(mode=0o700)
            if (descriptor := _claim(directory)) is not None:
                break  # else a sweep was faster
        try:
            yield directory
        finally:
            # Removed before it is unlocked, so that nobody else begins to remove it too.
            shutil.rmtree(directory, ignore_errors=True)
            os.close(descriptor)

    def has_stale_scratch(self) -> bool:
        """Whether there is a scratch directory whose process is gone."""
        for directory in self.tmp.iterdir():
            descriptor = _claim(directory)
            if descriptor is not None:
                os.close(descriptor)
                return True
        return False

    def sweep(self) -> None:
        """Remove scratch directories whose process is gone."""
        for directory in self.tmp.iterdir():
            descriptor = _claim(directory)
            if descriptor is not None:
                shutil.rmtree(directory, ignore_errors=True)
                os.close(descriptor)

    def _check_directory(self) -> None:
        found = self.path.stat()
        if not stat.S_ISDIR(found.st_mode):
            raise ConfigError(f"the home {self.path} is not a directory", hint=_HINT)
        if found.st_uid != os.geteuid():
            raise ConfigError(
                f"the home {self.path} belongs to another user (uid {found.st_uid})", hint=_HINT
            )
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise ConfigError(f"the home {self.path} is not writable", hint=_HINT)

    def _identity(self) -> str | None:
        """Return the home's id; `None` where it is not a home yet and may become one."""
        file = self.path / _IDENTITY
        try:
            parsed = _parsed(file.read_bytes())
        except FileNotFoundError:
            self._check_empty()
            return None
        if parsed is None:
            raise ConfigError(
                f"{file} is damaged, so that {self.path} cannot be used as the home",
                hint="put a backup of the file in its place, or set `home` to another directory",
            )
        version, identifier = parsed
        if version > LAYOUT_VERSION:
            raise ConfigError(
                f"the home {self.path} was written by a newer moorage-local"
                f" (layout {version}; this one reads up to {LAYOUT_VERSION})",
                hint="upgrade moorage-local, or set `home` to another directory",
            )
        return identifier

    def _check_empty(self) -> None:
        # What begins with a dot and our own names is left by another process that is at it now.
        own = (_LOCK, f".{_IDENTITY}.", _IDENTITY)
        strangers = sorted(e.name for e in self.path.iterdir() if not e.name.startswith(own))
        if strangers and not (self.path / _IDENTITY).exists():
            raise ConfigError(
                f"{self.path} is not a home: it holds {strangers[0]!r} and no {_IDENTITY}",
                hint="set `home` (or MOORAGE_HOME) to an empty or a new directory",
            )

    def _found(self) -> str:
        with locked(self.path / _LOCK, timeout=30.0):
            if (identifier := self._identity()) is not None:
                return identifier  # another process was faster
            for left in self.path.glob(f".{_IDENTITY}.*"):  # by one that was killed here
                left.unlink()
            identifier = str(uuid.uuid4())
            content = json.dumps({"version": LAYOUT_VERSION, "id": identifier})
            write_atomically(self.path / _IDENTITY, content.encode() + b"\n")
            sync([self.path.parent])
            return identifier

    def _complete(self) -> None:
        if stat.S_IMODE(self.path.stat().st_mode) != 0o700:
            self.path.chmod(0o700)
        for name in _DIRECTORIES:
            if not (self.path / name).is_dir():
                (self.path / name).mkdir(mode=0o700, exist_ok=True)


def _parsed(content: bytes) -> tuple[int, str] | None:
    try:
        identity = json.loads(content)
        version, identifier = identity["version"], identity["id"]
    except (ValueError, KeyError, TypeError):
        return None
    if isinstance(version, int) and isinstance(identifier, str):
        return version, identifier
    return None


def _claim(directory: Path) -> int | None:
    """Lock a scratch directory, unless somebody has it or has removed it.

    Whoever makes one and whoever sweeps do the same, so that one of the two gets it; the lock file
    is made by the first to come.
    """
    try:
        (directory / _LOCK).touch(mode=0o600)
        return try_lock(directory / _LOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
