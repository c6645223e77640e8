"""The database of a home, and the home itself."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moorage import errors
from moorage_local import _database
from moorage_local._database import SCHEMA_VERSION, Database, moment, stamp
from moorage_local._home import LAYOUT_VERSION, Home

ADD_BLOB = "INSERT INTO blobs (digest, size_bytes) VALUES (?, ?)"

# What a child does: it waits for the others to be there too, works, and says what came of it.
OPEN_TOGETHER = """
import sys
from moorage_local._database import Database
from moorage_local._home import Home
print("up", flush=True)
sys.stdin.readline()
home = Home(sys.argv[1])
with Database(home) as database:
    for number in range(50):
        with database.write() as connection:
            count = connection.execute("SELECT count(*) FROM blobs").fetchone()[0]
            connection.execute(
                "INSERT INTO blobs (digest, size_bytes) VALUES (?, ?)",
                (f"{sys.argv[2]}-{number}", count),
            )
print(home.id)
"""

FORK = """
import os, sys
from moorage_local._database import Database
from moorage_local._home import Home
database = Database(Home(sys.argv[1]))
add = "INSERT INTO blobs (digest, size_bytes) VALUES (?, 1)"
with database.write() as connection:
    connection.execute(add, ("parent-before",))
inherited = list(database._idle)
child = os.fork()
if child == 0:
    with database.write() as connection:
        assert all(connection is not other for other in inherited)
        connection.execute(add, ("child",))
    database.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
with database.write() as connection:
    connection.execute(add, ("parent-after",))
    rows = connection.execute("SELECT digest FROM blobs ORDER BY digest")
    print(*[row["digest"] for row in rows])
database.close()
"""

# As root, which may do everything, it becomes somebody else first.
OPEN_AS_NOBODY = """
import os, sys
from moorage.errors import ConfigError
from moorage_local._home import Home
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
try:
    Home(sys.argv[1])
except ConfigError as exc:
    print(exc.message)
    print(exc.hint)
"""

FULL_DISK = """
import resource, sys
from moorage.errors import QuotaError, UnavailableError
from moorage_local._database import Database
from moorage_local._home import Home
database = Database(Home(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, resource.RLIM_INFINITY))
try:
    with database.write() as connection:
        connection.executemany(
            "INSERT INTO blobs (digest, size_bytes) VALUES (?, 1)",
            [(f"{number:0200}",) for number in range(20_000)],
        )
except (QuotaError, UnavailableError) as exc:
    print(exc.hint)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with database.write() as connection:
    print(connection.execute("SELECT count(*) FROM blobs").fetchone()[0])
database.close()
"""


@pytest.fixture
def place(tmp_path: Path) -> Home:
    return Home(tmp_path / "place")


@pytest.fixture
def database(place: Home) -> Iterator[Database]:
    with Database(place) as opened:
        yield opened


def run(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60)
    return finished.stdout


def digests(database: Database) -> list[str]:
    with database.read() as connection:
        rows = connection.execute("SELECT digest FROM blobs ORDER BY digest").fetchall()
    return [row["digest"] for row in rows]


# The home -----------------------------------------------------------------------------------------


def test_home_is_private_and_keeps_its_id(tmp_path: Path) -> None:
    """A new home, its directories and its files are open to nobody else, and it stays the same."""
    first = Home(tmp_path / "a" / "b" / "place")
    with Database(first) as database, database.write() as connection:
        connection.execute(ADD_BLOB, ("x", 1))
        entries = [first.path, *first.path.rglob("*")]
        modes = {entry: stat.S_IMODE(entry.stat().st_mode) for entry in entries}

    assert {mode for entry, mode in modes.items() if entry.is_dir()} == {0o700}
    assert {mode for entry, mode in modes.items() if not entry.is_dir()} == {0o600}
    assert first.path / "state.db-wal" in modes
    assert Home(tmp_path / "a" / "b" / "place").id == first.id
    assert Home(tmp_path / "other").id != first.id


def test_home_with_a_wide_mode_is_closed_again(place: Home) -> None:
    """A home whose mode was opened to others is private again after it is opened."""
    place.path.chmod(0o755)

    Home(place.path)

    assert stat.S_IMODE(place.path.stat().st_mode) == 0o700


def test_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """A file is no home, nor is a directory below one."""
    (tmp_path / "file").write_text("mine")

    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(errors.ConfigError, match=r"file") as caught:
            Home(path)
        assert "MOORAGE_HOME" in (caught.value.hint or "")
    assert (tmp_path / "file").read_text() == "mine"


def test_foreign_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A directory that holds something else does not become a home, and nothing in it changes."""
    (tmp_path / "thesis.tex").write_text("years of work")
    tmp_path.chmod(0o755)

    with pytest.raises(errors.ConfigError, match=r"holds 'thesis\.tex'"):
        Home(tmp_path)

    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_home_of_another_user_is_refused(tmp_path: Path) -> None:
    """A home that belongs to somebody else is refused with their number."""
    if os.geteuid() == 0:
        path = tmp_path / "theirs"
        path.mkdir()
        os.chown(path, 12345, 12345)
    else:
        path = Path("/")

    with pytest.raises(errors.ConfigError, match=f"another user .uid {path.stat().st_uid}"):
        Home(path)


@pytest.mark.parametrize("below", ["", "new"])
def test_home_without_permission_is_refused(below: str) -> None:
    """A directory that cannot be written to is neither a home nor the place for one."""
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        os.chown(top, 65534 if os.geteuid() == 0 else -1, -1)
        top.chmod(0o500)

        output = run(OPEN_AS_NOBODY, top / below)
        left = list(top.iterdir())
        top.chmod(0o700)

    assert "cannot be used as the home" in output or "not writable" in output
    assert "MOORAGE_HOME" in output
    assert left == []


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 1}', '{"version": "1", "id": "x"}']
)
def test_damaged_identity_is_refused(place: Home, content: str) -> None:
    """A home whose identity cannot be read is refused, not made anew under another id."""
    (place.path / "home.json").write_text(content)

    with pytest.raises(errors.ConfigError, match=r"home\.json is damaged"):
        Home(place.path)
    assert (place.path / "home.json").read_text() == content


def test_home_of_a_newer_version_is_refused(place: Home) -> None:
    """A layout from the future is refused, with both versions and what to do."""
    content = json.dumps({"version": LAYOUT_VERSION + 1, "id": place.id, "more": []})
    (place.path / "home.json").write_text(content)

    with pytest.raises(errors.ConfigError, match=f"layout {LAYOUT_VERSION + 1}") as caught:
        Home(place.path)
    assert "upgrade" in (caught.value.hint or "")
    assert (place.path / "home.json").read_text() == content


def test_lock_excludes_threads_and_times_out(place: Home) -> None:
    """Who wants a lock that another thread holds gives up at its limit, and gets it after that."""
    with place.lock("one"):
        with pytest.raises(errors.UnavailableError) as caught, place.lock("one", timeout=0.01):
            pass
        with place.lock("other", timeout=0):
            pass

    assert caught.value.retry is errors.Retry.SAFE
    with place.lock("one", timeout=0):
        pass


def test_shared_locks_exclude_only_exclusive_ones(place: Home) -> None:
    """Any number may share a lock, and nobody has it alone meanwhile."""
    with (
        place.lock("one", shared=True),
        place.lock("one", shared=True, timeout=0),
        pytest.raises(errors.UnavailableError),
        place.lock("one", timeout=0),
    ):
        pass


def test_scratch_of_the_living_is_not_swept(place: Home) -> None:
    """A sweep removes what a killed process left, and nothing of one that lives."""
    dead = place.tmp / "push-dead"
    dead.mkdir()
    (dead / "half").write_bytes(b"half")
    with place.scratch("push") as living:
        (living / "half").write_bytes(b"half")

        assert place.has_stale_scratch()
        place.sweep()
        assert not place.has_stale_scratch()
        assert list(place.tmp.iterdir()) == [living]
        assert (living / "half").read_bytes() == b"half"
    assert list(place.tmp.iterdir()) == []


# The database -------------------------------------------------------------------------------------


def test_transaction_is_all_or_nothing(database: Database) -> None:
    """What an exception interrupts is undone, and the database goes on working."""
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        connection.execute(ADD_BLOB, ("lost", 1))
        raise ZeroDivisionError
    with database.write() as connection:
        connection.execute(ADD_BLOB, ("kept", 1))

    assert digests(database) == ["kept"]


def test_reader_sees_one_moment(database: Database) -> None:
    """What others commit during a read transaction is not seen in it."""
    with database.read() as connection:
        before = connection.execute("SELECT count(*) FROM blobs").fetchone()[0]
        with database.write() as other:
            other.execute(ADD_BLOB, ("x", 1))
        during = connection.execute("SELECT count(*) FROM blobs").fetchone()[0]

    assert (before, during) == (0, 0)
    assert digests(database) == ["x"]


def test_references_are_enforced(database: Database) -> None:
    """A row cannot refer to one that is not there."""
    with pytest.raises(errors.MoorageError), database.write() as connection:
        connection.execute("INSERT INTO artifact_blobs (artifact, digest) VALUES (1, 'x')")


def test_moments_are_kept_to_the_microsecond() -> None:
    """A moment comes back as it was, in UTC, before 1970 too."""
    for when in (
        datetime(2026, 2, 3, 4, 5, 6, 789_123, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ):
        assert moment(stamp(when)) == when
        assert moment(stamp(when) + 1) - when == timedelta(microseconds=1)


def test_threads_write_at_the_same_time(place: Home) -> None:
    """Threads that share a database lose no write."""
    with Database(place) as database:
        together = threading.Barrier(8)

        def work(thread: int) -> None:
            together.wait(timeout=30)
            for number in range(25):
                with database.write() as connection:
                    connection.execute(ADD_BLOB, (f"{thread}-{number}", 1))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(digests(database)) == 200


@pytest.mark.slow
def test_processes_create_and_write_at_the_same_time(tmp_path: Path) -> None:
    """Processes that open a home which is not there yet make one home, and lose no write."""
    path = tmp_path / "place"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_TOGETHER, path, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"

    outputs = []
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        outputs.append(child.communicate(timeout=60)[0].strip())
        assert child.returncode == 0

    assert outputs == [Home(path).id] * 4
    with Database(Home(path)) as database, database.read() as connection:
        sizes = [row[0] for row in connection.execute("SELECT size_bytes FROM blobs")]
    assert sorted(sizes) == list(range(200))  # each saw all that were before it


def test_forked_process_uses_its_own_connection(place: Home) -> None:
    """A process that is forked from one with an open database writes on a connection of its own."""
    output = run(FORK, place.path)

    assert output.split() == ["child", "parent-after", "parent-before"]


def test_locked_database_is_retryable(place: Home) -> None:
    """A database that another process keeps locked is an error that is safe to repeat."""
    with Database(place, busy_timeout=0.05) as database:
        holder = sqlite3.connect(place.database, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(errors.UnavailableError, match="locked") as caught, database.write():
            pass
        holder.close()

        assert caught.value.retry is errors.Retry.SAFE
        with database.write() as connection:
            connection.execute(ADD_BLOB, ("x", 1))


def test_database_of_a_newer_version_is_refused_untouched(place: Home) -> None:
    """A schema from the future is refused, with both versions, and stays as it is."""
    Database(place).close()
    with sqlite3.connect(place.database) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        connection.execute("CREATE TABLE from_the_future (x)")
    connection.close()
    before = place.database.read_bytes()

    with pytest.raises(errors.ConfigError, match=f"schema {SCHEMA_VERSION + 1}") as caught:
        Database(place)

    assert "upgrade" in (caught.value.hint or "")
    assert place.database.read_bytes() == before


def test_foreign_database_is_refused_untouched(place: Home) -> None:
    """Another program's database is refused and stays as it is."""
    with sqlite3.connect(place.database) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = place.database.read_bytes()

    with pytest.raises(errors.ConfigError, match="not a database of the local provider"):
        Database(place)
    assert place.database.read_bytes() == before


def test_damaged_database_is_a_clear_error(place: Home) -> None:
    """A file that is no database any more is an error which says what to do, not a crash."""
    Database(place).close()
    place.database.write_bytes(b"not what it was" * 1000)

    with pytest.raises(errors.IntegrityError, match="database") as caught:
        Database(place)
    assert "backup" in (caught.value.hint or "")


def test_damaged_pages_are_a_clear_error(place: Home) -> None:
    """Damage in the middle of the file is told when it is met."""
    with Database(place) as database, database.write() as connection:
        connection.executemany(ADD_BLOB, [(f"{number:064}", 1) for number in range(5000)])
    content = bytearray(place.database.read_bytes())
    content[len(content) // 4 : -4096] = b"\xff" * (len(content) - 4096 - len(content) // 4)
    place.database.write_bytes(content)

    with Database(place) as database, pytest.raises(errors.IntegrityError, match="database"):
        digests(database)


def test_older_schema_is_brought_up_to_date(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older version stored is there after its schema was brought up to date."""
    with Database(place) as database, database.write() as connection:
        connection.execute(ADD_BLOB, ("old", 1))
    newer = (*_database._MIGRATIONS, ("ALTER TABLE blobs ADD COLUMN seen INTEGER DEFAULT 7",))
    monkeypatch.setattr(_database, "_MIGRATIONS", newer)
    monkeypatch.setattr(_database, "SCHEMA_VERSION", len(newer))

    with Database(place) as database, database.read() as connection:
        row = connection.execute("SELECT digest, seen FROM blobs").fetchone()
        version = connection.execute("PRAGMA user_version").fetchone()[0]

    assert tuple(row) == ("old", 7)
    assert version == len(newer)


def test_failed_migration_changes_nothing(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails in the middle leaves the older schema, usable by the older version."""
    Database(place).close()
    with monkeypatch.context() as patch:
        broken = ("ALTER TABLE blobs ADD COLUMN seen INTEGER", "CREATE NONSENSE")
        patch.setattr(_database, "_MIGRATIONS", (*_database._MIGRATIONS, broken))
        patch.setattr(_database, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        with pytest.raises(errors.MoorageError):
            Database(place)

    with Database(place) as database, database.read() as connection:
        columns = [row["name"] for row in connection.execute("PRAGMA table_info (blobs)")]
    assert columns == ["digest", "size_bytes"]


def test_full_disk_undoes_the_transaction(place: Home) -> None:
    """A write that finds no room fails as a whole and says what to do; the next one works."""
    hint, count = run(FULL_DISK, place.path).splitlines()

    assert "space" in hint
    assert count == "0"


def test_closed_database_is_an_error(place: Home) -> None:
    """A closed database is closed twice without harm, and used no more."""
    database = Database(place)
    database.close()
    database.close()

    with pytest.raises(errors.ConfigError, match="closed"), database.read():
        pass
