"""The tasks that were submitted from here: the cloud lists none, and repeats none by itself."""

import contextlib
import hashlib
import os
import threading
from datetime import datetime
from pathlib import Path

import msgspec

_KEPT = 1000


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One job."""

    id: str
    """The portable job's."""

    task: str
    """The task that runs for it now."""

    deployment: str
    entrypoint: str
    retries: int = 0
    """How many more tasks may follow a failed one."""

    attempts: int = 1
    created_at: datetime
    ended: str = ""
    """The status that it ended with, as far as it was seen."""


class JobRecords:
    """The jobs that were submitted from here.

    Args:
        directory: Where they are kept; `None` keeps them in memory.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = None if directory is None else directory / "jobs"
        self._memory: dict[str, JobRecord] = {}
        self._lock = threading.Lock()

    def find(self, job_id: str) -> JobRecord | None:
        """Return what is known of a job."""
        with self._lock:
            known = self._memory.get(job_id)
        if known is not None and self._directory is None:
            return known
        return self._load(self._path(job_id)) or known

    def newest(self) -> list[JobRecord]:
        """Return all jobs, newest first."""
        found = dict(self._memory)
        if self._directory is not None:
            with contextlib.suppress(OSError):
                for path in self._directory.glob("*.json"):
                    record = self._load(path)
                    if record is not None:
                        found[record.id] = record
        return sorted(found.values(), key=lambda record: record.created_at, reverse=True)

    def put(self, record: JobRecord) -> None:
        """Remember a job, or what became of it."""
        with self._lock:
            is_new = record.id not in self._memory
            self._memory[record.id] = record
        path = self._path(record.id)
        if path is None:
            return
        # What cannot be written down is still known here.
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor
                file.write(msgspec.json.encode(record))
            temporary.replace(path)
            if is_new:
                self._forget_oldest(path.parent)

    def _path(self, job_id: str) -> Path | None:
        if self._directory is None:
            return None
        return self._directory / f"{hashlib.sha256(job_id.encode()).hexdigest()[:32]}.json"

    def _load(self, path: Path | None) -> JobRecord | None:
        if path is None:
            return None
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(path.read_bytes(), type=JobRecord)
        return None

    def _forget_oldest(self, directory: Path) -> None:
        paths = list(directory.glob("*.json"))
        if len(paths) > _KEPT:
            paths.sort(key=lambda path: path.stat().st_mtime)
            for path in paths[: len(paths) - _KEPT]:
                path.unlink(missing_ok=True)
