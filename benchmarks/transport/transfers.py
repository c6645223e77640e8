"""Uploads and downloads of 256 MiB, against urllib3 with blocks of 1 MiB.

python benchmarks/transport/transfers.py [ROUNDS] [MIB]
"""

import hashlib
import mmap
import os
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import _report
import _servers
import urllib3
from urllib3.util import create_urllib3_context

from moorage.plugin.transport import (
    DigestedContent,
    FileContent,
    FileField,
    Form,
    HttpClient,
    HttpOptions,
)

BLOCK = 1024 * 1024


def blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def plain_upload(manager: urllib3.PoolManager, url: str, path: Path) -> Callable[[], None]:
    def program() -> None:
        headers = {"Content-Length": str(path.stat().st_size)}
        manager.request("PUT", f"{url}/upload", body=blocks(path), headers=headers)

    return program


def plain_hash(path: Path) -> None:
    found = hashlib.sha256()
    for block in blocks(path):
        found.update(block)
    found.hexdigest()


def plain_download(
    manager: urllib3.PoolManager,
    url: str,
    size: int,
    path: Path,
    *,
    verified: bool = False,
    durable: bool = False,
) -> Callable[[], None]:
    def program() -> None:
        response = manager.request("GET", f"{url}/{size}", preload_content=False)
        found = hashlib.sha256()
        with path.open("wb") as file:
            for block in response.stream(BLOCK):
                file.write(block)
                if verified:
                    found.update(block)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        response.release_conn()

    return program


def disk_alone(size: int, path: Path) -> Callable[[], None]:
    """Write from memory, past the system's cache where it can be passed.

    Nothing that is on the disk afterwards takes less, however it arrived.
    """

    def program() -> None:
        block = mmap.mmap(-1, 4 * BLOCK)  # as it is aligned
        flags = os.O_CREAT | os.O_WRONLY
        try:
            descriptor = os.open(path, flags | getattr(os, "O_DIRECT", 0))
        except OSError:  # in memory, or on a network
            descriptor = os.open(path, flags)
        for _ in range(size // len(block)):
            os.write(descriptor, block)
        os.fsync(descriptor)
        os.close(descriptor)

    return program


def made_ready(target: Path, size: int) -> None:
    """Let both begin with nothing there, and neither pay for what is not its own.

    urllib3 leaves its file to the system, and moorage would wait for it. Whoever is the first to
    write to memory that the machine has not used before pays for that, so that as much as is going
    to be written is written and removed.
    """
    target.unlink(missing_ok=True)
    scratch = target.with_name("scratch")
    with scratch.open("wb", buffering=0) as file:
        for _ in range(size // BLOCK):
            file.write(bytes(BLOCK))
    scratch.unlink()
    os.sync()


def sum_of(taken: dict[str, list[float]], one: str, other: str) -> list[float]:
    return [first + second for first, second in zip(taken[one], taken[other], strict=True)]


def measured(
    url: str, client: HttpClient, manager: urllib3.PoolManager, path: Path, rounds: int
) -> bool:
    """Measure over one protocol."""
    size = path.stat().st_size
    target = path.with_name("downloaded")
    digest = f"sha256:{hashlib.sha256(bytes(size)).hexdigest()}"
    scheme = url.partition(":")[0]
    mib = size // BLOCK
    taken = _report.in_turn(
        {
            "urllib3": plain_upload(manager, url, path),
            "reading and hashing alone": lambda: plain_hash(path),
            "moorage": lambda: client.call("PUT", "/upload", data=path),
            "moorage, with SHA-256": lambda: client.call(
                "PUT", "/upload", data=DigestedContent(FileContent(path), "sha256")
            ),
            "moorage, as a form": lambda: client.call(
                "POST", "/form", data=Form([FileField("file", path, filename="x")])
            ),
        },
        rounds,
    )
    taken["urllib3, and hashing"] = sum_of(taken, "urllib3", "reading and hashing alone")
    kept = _report.table(
        f"upload of {mib} MiB, {scheme}",
        taken,
        {
            "moorage": ("urllib3", 1.1),
            "moorage, with SHA-256": ("urllib3, and hashing", 1.15),
            "moorage, as a form": ("urllib3", 1.1),
        },
        unit=("ms", 1e3),
    )
    taken = _report.in_turn(
        {
            "urllib3": plain_download(manager, url, size, target),
            "the disk alone": disk_alone(size, target),
            "urllib3, made durable": plain_download(manager, url, size, target, durable=True),
            "urllib3, with SHA-256": plain_download(manager, url, size, target, verified=True),
            "moorage": lambda: client.download("/{size}", target, {"size": size}),
            "moorage, with SHA-256": lambda: client.download(
                "/{size}", target, {"size": size}, digest=digest
            ),
        },
        rounds,
        before=lambda: made_ready(target, size),
    )
    kept &= _report.table(
        f"download of {mib} MiB, {scheme}",
        taken,
        {
            "moorage": ("urllib3", 1.0),
            "moorage, with SHA-256": ("urllib3, with SHA-256", 1.1),
        },
        unit=("ms", 1e3),
    )
    return kept


def memory(client: HttpClient, path: Path) -> bool:
    """Measure the peak of what Python holds, in MiB."""
    programs: dict[str, Callable[[], object]] = {
        "upload": lambda: client.call("PUT", "/upload", data=path),
        "upload as a form": lambda: client.call(
            "POST", "/form", data=Form([FileField("file", path, filename="x")])
        ),
        "download": lambda: client.download(
            "/{size}", path.with_name("x"), {"size": path.stat().st_size}, digest="sha256"
        ),
    }
    kept = True
    print(f"{'peak memory':44}{'MiB':>12}{'':8}{'promise':>9}")
    for name, program in programs.items():
        tracemalloc.start()
        program()
        peak = tracemalloc.get_traced_memory()[1] / BLOCK
        tracemalloc.stop()
        kept = kept and peak < 8
        print(f"  {name:42}{peak:12.2f}{'':8}{8:9.2f}{'' if peak < 8 else '   MISSED'}")
    return kept


def main(rounds: int, mib: int) -> int:
    kept = True
    with tempfile.TemporaryDirectory() as directory, _servers.certificate() as chain:
        path = Path(directory, "large")
        with path.open("wb") as file:
            for _ in range(mib):
                file.write(bytes(BLOCK))
        with _servers.running("bulk") as port:
            url = f"http://127.0.0.1:{port}"
            with HttpClient(url) as client:
                kept &= measured(url, client, urllib3.PoolManager(), path, rounds)
                kept &= memory(client, path)
        with _servers.running("bulk", *chain) as port:
            url = f"https://127.0.0.1:{port}"
            context = create_urllib3_context()
            context.load_verify_locations(chain[0])
            manager = urllib3.PoolManager(ssl_context=context)
            options = HttpOptions(ca_bundle=Path(chain[0]))
            with HttpClient(url, options=options) as client:
                kept &= measured(url, client, manager, path, rounds)
    return 0 if kept else 1


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*arguments, *(9, 256)[len(arguments) :]))
