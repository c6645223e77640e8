"""What a run creates, written down before it is created, so that a crash leaves no riddle."""

import os
import re
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from moorage.errors import ConfigError, InvalidRequestError, NotFoundError

_RUN = re.compile(r"[a-z0-9]{8}")


class Header(msgspec.Struct, frozen=True, kw_only=True, tag="run"):
    """What a run works on; a run of several processes has one for each."""

    provider: str
    profile: str | None
    target: str
    directory: str
    """Where the harness keeps what it starts."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag="create"):
    """One thing that is about to be created."""

    resource: str
    name: str


Line = Header | Entry


def new_run_id() -> str:
    """Return a name for a run: eight letters and digits, which stand in all that it creates."""
    return secrets.token_hex(4)


def ledger_directory() -> Path:
    """Return where ledgers are kept."""
    import platformdirs

    state = os.environ.get("MOORAGE_STATE_DIR")
    try:
        base = Path(state) if state else platformdirs.user_state_path("moorage", appauthor=False)
    except RuntimeError as exc:
        raise ConfigError(
            f"there is no place for the ledger: {exc}",
            hint="set HOME, or MOORAGE_STATE_DIR to a directory of your own",
        ) from exc
    return base / "conformance"


class Ledger:
    """The file of one run; each line is on the disk before what it announces is made."""

    def __init__(self, run_id: str, directory: Path | None = None) -> None:
        if not _RUN.fullmatch(run_id):
            raise InvalidRequestError(
                f"{run_id!r} is not a run", hint="the first lines of a run's output name it"
            )
        self.path = (directory or ledger_directory()) / f"{run_id}.jsonl"
        self._lock = threading.Lock()

    def write(self, line: Line) -> None:
        """Add a line and wait until it is on the disk."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock:
            # One write to a file opened for appending is one line, whoever else writes.
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(handle, msgspec.json.encode(line) + b"\n")
                os.fsync(handle)
            finally:
                os.close(handle)

    def lines(self) -> Iterator[Line]:
        """Yield the lines; the last may have been cut by the crash and is then left out.

        Raises:
            NotFoundError: There is no such run.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError as exc:
            raise NotFoundError(
                f"there is no run {self.path.stem!r} to sweep",
                hint=f"ledgers are kept in {self.path.parent}; a run that ended well left none",
            ) from exc
        for text in content.splitlines():
            try:
                yield msgspec.json.decode(text, type=Line)
            except msgspec.DecodeError:
                continue

    def discard(self) -> None:
        """Forget the run; everything that it made is gone."""
        self.path.unlink(missing_ok=True)


class Run:
    """One run of the suite, which names what it creates.

    Attributes:
        id: Stands in every name.
        ledger: Where the names are written first.
        entries: What this process has announced so far.
    """

    def __init__(self, run_id: str, ledger: Ledger, worker: str = "") -> None:
        self.id = run_id
        self.ledger = ledger
        self.entries: list[Entry] = []
        self._prefix = f"mc-{run_id}-{worker}"
        self._count = 0
        self._lock = threading.Lock()

    def name(self, resource: str) -> str:
        """Return a new name for a resource, which the ledger knows already."""
        with self._lock:
            self._count += 1
            name = f"{self._prefix}{self._count}"
        self.announce(resource, name)
        return name

    def announce(self, resource: str, name: str) -> None:
        """Write down something that is about to be created, or a job that just was."""
        entry = Entry(resource=resource, name=name)
        self.ledger.write(entry)
        self.entries.append(entry)
