"""One log, written by several and read while it is written."""

import itertools
import os
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_local._log_files import (
    LogTail,
    LogWriter,
    StoredRecord,
    first_seq,
    last_seq,
    records_before,
)
from moorage_local._log_lines import LineBuffer

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def write(directory: Path, *messages: str, **options: object) -> None:
    writer = LogWriter(directory, source="test", **options)
    try:
        for message in messages:
            writer.write("stdout", [message])
    finally:
        writer.close()


def forwards(directory: Path, after: int = 0) -> list[StoredRecord]:
    tail = LogTail(directory, after)
    try:
        return list(itertools.chain.from_iterable(iter(tail.read, [])))
    finally:
        tail.close()


def messages(records: list[StoredRecord]) -> list[str]:
    return [record.message for record in records]


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.jsonl"))


# Order --------------------------------------------------------------------------------------------


@given(
    batches=st.lists(
        st.tuples(st.integers(0, 2), st.lists(st.text(max_size=40), min_size=1, max_size=20)),
        max_size=30,
    ),
    segment_bytes=st.sampled_from([1, 200, 3000, 1_000_000]),
    start=st.integers(0, 200),
)
def test_writers_share_one_order(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[tuple[int, list[str]]],
    segment_bytes: int,
    start: int,
) -> None:
    """Records of any text by any writers are numbered as they were written, and read so."""
    directory = tmp_path_factory.mktemp("logs")
    writers = [
        LogWriter(directory, source=str(n), segment_bytes=segment_bytes, segments=10_000)
        for n in range(3)
    ]
    for number, lines in batches:
        writers[number].write("stdout", lines)
    for writer in writers:
        writer.close()
    expected = [line for _, lines in batches for line in lines]

    everything = forwards(directory)
    assert messages(everything) == expected
    assert [record.seq for record in everything] == list(range(1, len(expected) + 1))
    assert forwards(directory, start) == everything[start:]
    assert list(records_before(directory, None)) == everything[::-1]
    assert list(records_before(directory, start)) == everything[: max(start - 1, 0)][::-1]
    assert last_seq(directory) == len(expected)


def test_clock_that_jumps_back_keeps_the_order(directory: Path) -> None:
    """Records stay in the order of writing, with the times that the clock said."""
    moments = [NOON, NOON - timedelta(days=400), NOON + timedelta(days=9), NOON]
    writer = LogWriter(directory, source="test", segment_bytes=1)
    for moment in moments:
        writer.write("stdout", ["line"], time=moment)
    writer.close()

    assert [record.time for record in forwards(directory)] == moments
    assert [record.seq for record in forwards(directory)] == [1, 2, 3, 4]


def test_segments_without_anything_new_enough_are_skipped(directory: Path) -> None:
    """A search by time leaves out what is too old, and nothing else, though the clock jumped."""
    moments = [NOON, NOON + timedelta(days=9), NOON - timedelta(days=9), NOON]
    writer = LogWriter(directory, source="test", segment_bytes=1)
    for moment in moments:
        writer.write("stdout", ["line"], time=moment)
    writer.close()

    found = records_before(directory, None, since=NOON + timedelta(seconds=1))

    # The newest segment is not finished, so that its times are not known yet.
    assert [record.seq for record in found] == [4, 2]


@pytest.mark.slow
def test_processes_write_at_once(directory: Path) -> None:
    """Four processes that write as fast as they can lose, repeat and reorder nothing."""
    code = (
        "import sys; from pathlib import Path; from moorage_local._log_files import LogWriter\n"
        "w = LogWriter(Path(sys.argv[1]), source=sys.argv[2], segment_bytes=20_000, segments=999)\n"
        "for i in range(500): w.write('stdout', [f'{i}.{j}' for j in range(4)])\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, directory, source]) for source in "abcd"
    ]
    assert [process.wait() for process in running] == [0, 0, 0, 0]

    everything = forwards(directory)

    assert [record.seq for record in everything] == list(range(1, 8001))
    expected = [f"{i}.{j}" for i in range(500) for j in range(4)]
    for source in "abcd":
        assert messages([r for r in everything if r.source == source]) == expected


# What goes wrong ----------------------------------------------------------------------------------


def test_torn_line_is_cut_off(directory: Path) -> None:
    """A line that a killed writer left half written is not read, and the next one follows it."""
    write(directory, "one", "two")
    with segments(directory)[0].open("ab") as stream:
        stream.write(b'{"seq":3,"time":"2024-05-01T12:00:00Z","mess')

    assert messages(forwards(directory)) == ["one", "two"]
    assert last_seq(directory) == 2
    write(directory, "three")
    assert [(r.seq, r.message) for r in forwards(directory)] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]


def test_writer_killed_before_it_said_so(directory: Path) -> None:
    """Whole lines of a writer that was killed right after writing them are kept and counted."""
    write(directory, "one")
    end = (directory / "writer").read_bytes()
    write(directory, "two")
    (directory / "writer").write_bytes(end)

    write(directory, "three")

    assert [(r.seq, r.message) for r in forwards(directory)] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]


@pytest.mark.parametrize("content", [b"", b"\0" * 44, b"nonsense"])
def test_lost_end_is_found_again(directory: Path, content: bytes) -> None:
    """Numbers go on where they were, if what says where the log ends is damaged."""
    write(directory, *map(str, range(5)), segment_bytes=1)
    (directory / "writer").write_bytes(content)

    write(directory, "next")

    assert last_seq(directory) == 6
    assert messages(forwards(directory)) == ["0", "1", "2", "3", "4", "next"]


def test_damaged_lines_are_left_out(directory: Path) -> None:
    """Lines that a power cut turned into something else do not hide the others."""
    write(directory, "one", "two", "three")
    lines = segments(directory)[0].read_bytes().splitlines(keepends=True)
    lines[1] = b"\0" * (len(lines[1]) - 1) + b"\n"
    segments(directory)[0].write_bytes(b"".join(lines))

    assert messages(forwards(directory)) == ["one", "three"]
    assert messages(list(records_before(directory, None))) == ["three", "one"]


def test_full_disk_leaves_no_half_batch(directory: Path) -> None:
    """A batch that does not fit is not there at all, and what fits later follows in order."""
    write(directory, "one")
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from moorage_local._log_files import LogWriter\n"
        "w = LogWriter(Path(sys.argv[1]), source='test')\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "try: w.write('stdout', ['x' * 900] * 10)\n"
        "except OSError as exc: print(exc.errno)\n"
        "w.write('stdout', ['two'])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, directory], capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "27"  # EFBIG: as with a full disk, a part could be written
    assert [(r.seq, r.message) for r in forwards(directory)] == [(1, "one"), (2, "two")]


def test_deleted_log_is_told(directory: Path) -> None:
    """Writing to and reading a log that was deleted is an error, not an endless silence."""
    writer = LogWriter(directory, source="test")
    writer.write("stdout", ["one"])
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()

    with pytest.raises(FileNotFoundError):
        writer.write("stdout", ["two"])
    with pytest.raises(FileNotFoundError):
        last_seq(directory)
    writer.close()


# Rotation -----------------------------------------------------------------------------------------


def test_rotation_keeps_the_bounds(directory: Path) -> None:
    """However much is written, the files stay within segments times their size and one batch."""
    writer = LogWriter(directory, source="test", segment_bytes=10_000, segments=3)
    for number in range(400):
        writer.write("stdout", [f"{number} {'x' * 100}"] * 10)
        sizes = [file.stat().st_size for file in directory.iterdir()]
        assert sum(sizes) <= 3 * (10_000 + 2_500) + 1000
    writer.close()

    assert len(segments(directory)) == 3
    assert last_seq(directory) == 4000
    kept = forwards(directory)
    assert [record.seq for record in kept] == list(range(first_seq(directory), 4001))


def test_cursor_that_was_rotated_away_goes_on_at_the_oldest(directory: Path) -> None:
    """A reader that comes back too late gets everything that is still there."""
    write(directory, *map(str, range(50)), segment_bytes=300, segments=2)

    kept = forwards(directory, after=3)

    assert kept[0].seq == first_seq(directory) > 4
    assert kept[-1].seq == 50


def test_reader_follows_through_rotation(directory: Path) -> None:
    """A reader that keeps up sees every record once, though files appear and go."""
    writer = LogWriter(directory, source="test", segment_bytes=500, segments=2)
    tail = LogTail(directory, 0)
    seen = []
    for number in range(200):
        writer.write("stdout", [str(number)])
        seen += messages(tail.read())
    writer.close()
    tail.close()

    assert seen == [str(number) for number in range(200)]


def test_slow_reader_reads_its_file_to_the_end(directory: Path) -> None:
    """A file that is being read is read to its end, even after it was rotated away."""
    writer = LogWriter(directory, source="test", segment_bytes=1000, segments=2)
    writer.write("stdout", ["first"])
    tail = LogTail(directory, 0)
    assert messages(tail.read()) == ["first"]
    for number in range(100):
        writer.write("stdout", [f"{number} {'x' * 100}"])
    writer.close()

    rest = list(itertools.chain.from_iterable(iter(tail.read, [])))
    tail.close()

    numbers = [record.seq for record in rest]
    assert numbers == sorted(numbers)
    assert numbers[0] == 2
    assert numbers[-1] == 101


def test_reading_takes_little_memory(directory: Path) -> None:
    """Reading a log that is much larger takes a few blocks, forwards and backwards."""
    writer = LogWriter(directory, source="test", segment_bytes=1 << 20, segments=100)
    for number in range(400):
        writer.write("stdout", [f"{number} {'x' * 200}"] * 100)
    writer.close()
    size = sum(file.stat().st_size for file in segments(directory))
    assert size > 10_000_000

    tracemalloc.start()
    tail = LogTail(directory, 0)
    count = sum(map(len, iter(tail.read, [])))
    tail.close()
    count += sum(1 for _ in records_before(directory, None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 80_000
    assert peak < 3_000_000


def test_newest_records_are_found_without_reading_all(directory: Path) -> None:
    """The newest records come from the end of the newest file, a few kilobytes of it."""
    writer = LogWriter(directory, source="test", segment_bytes=1 << 20, segments=100)
    for _ in range(200):
        writer.write("stdout", ["x" * 200] * 100)
    writer.close()
    for segment in segments(directory)[:-1]:
        segment.chmod(0)
    read = 0
    original = os.pread

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        nonlocal read
        block = original(descriptor, length, offset)
        read += len(block)
        return block

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pread", counted)
        newest = list(itertools.islice(records_before(directory, None), 20))

    assert [record.seq for record in newest] == list(range(20_000, 19_980, -1))
    assert read <= 64 * 1024


# Lines --------------------------------------------------------------------------------------------


def joined(pieces: list[bytes], buffer: LineBuffer) -> list[str]:
    """Put messages that belong to one line together again."""
    lines = [""]
    for piece in pieces:
        texts, continued = buffer.feed(piece)
        for index, text in enumerate(texts):
            lines[-1] += text
            if index not in continued:
                lines.append("")
    lines[-1] += buffer.flush()
    return lines


@given(
    lines=st.lists(st.text(st.characters(exclude_characters="\r\n")), min_size=1),
    cuts=st.lists(st.integers(0, 500)),
    limit=st.integers(8, 40),
)
def test_lines_are_the_same_however_they_arrive(
    lines: list[str], cuts: list[int], limit: int
) -> None:
    """Text comes out line by line, whole, wherever reading and the length limit cut it."""
    data = "\n".join(lines).encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[begin:end] for begin, end in itertools.pairwise(places)]

    assert joined(pieces, LineBuffer(limit=limit)) == lines


@given(data=st.binary(max_size=300))
def test_any_bytes_become_text(data: bytes) -> None:
    """Bytes that are no text become text that can be stored."""
    buffer = LineBuffer(limit=50)

    texts, _ = buffer.feed(data)

    for text in [*texts, buffer.flush()]:
        text.encode()


@given(
    secret=st.text("abcdefgh", min_size=4, max_size=30),
    before=st.text("xyz ", max_size=60),
    cuts=st.lists(st.integers(0, 150)),
)
def test_secret_is_masked_wherever_it_is_cut(secret: str, before: str, cuts: list[int]) -> None:
    """A secret value in the output is masked, though it arrives in pieces or at a line's cut."""
    data = f"{before}{secret}{before}\n".encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    buffer = LineBuffer([secret], limit=20)

    lines = joined([data[begin:end] for begin, end in itertools.pairwise(places)], buffer)

    assert lines == [f"{before}***{before}", ""]


def test_each_line_of_a_secret_is_masked() -> None:
    """A value of several lines, a key for example, is masked though its lines are records."""
    buffer = LineBuffer(["first line\nsecond line\n"])

    texts, _ = buffer.feed(b"<first line>\r\n<second line>\n")

    assert texts == ["<***>", "<***>"]


def test_endless_line_takes_little_memory() -> None:
    """A line that never ends is cut into records instead of being collected."""
    buffer = LineBuffer()

    count = sum(len(buffer.feed(b"x" * 65536)[0]) for _ in range(100))

    assert count >= 399
    assert len(buffer._rest) <= 16 * 1024
