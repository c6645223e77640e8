"""What is packed for Konigle can be deployed there, and comes back as it was."""

import contextlib
import hashlib
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from official import official, run_official

from moorage.errors import InvalidRequestError
from moorage_conformance.emulators.konigle import KonigleEmulator
from moorage_konigle import Client, pack
from moorage_konigle._pack import unpack

MIB = 1024 * 1024
IRIS = Path(__file__).parents[2] / "examples" / "iris"
MANIFEST = """\
[artifact]
name = "shop"
python = "3.13"
requirements = "needs me.txt"

[service]
app = "shop:app"
health = "/healthz"

[jobs.score]
handler = "tasks:score"

[jobs.release-migrate]
handler = "tasks:migrate"
"""
WSGI = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]
"""
TASKS = """\
from pathlib import Path
def score(value): return value
def migrate(value):
    Path("migrated").write_text("yes")
    return {"tables": 2}
"""
TOML = '[processes.web]\ncommand = "python app.py"\n'


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    files = {"moorage.toml": MANIFEST, "shop.py": WSGI, "tasks.py": TASKS, "needs me.txt": ""}
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    for name, text in {"Dockerfile": "FROM x\n", "bentocloud.toml": TOML, "app.py": "1\n"}.items():
        (directory / name).write_text(text)
    return directory


def members(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist() if name[-1] != "/"}


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


# Portable apps ------------------------------------------------------------------------------------


def test_app_becomes_a_project(shop: Path, tmp_path: Path) -> None:
    """A portable app gets an image, a process with its health check, and its release commands."""
    pack(shop, tmp_path / "shop.zip", base_image="registry.example/py:{python}")

    inside = members(tmp_path / "shop.zip")
    config = tomllib.loads(inside["bentocloud.toml"].decode())
    image = inside["Dockerfile"].decode().splitlines()
    assert config == {
        "app": {"name": "shop", "runtime": "python"},
        "deploy": {"release_commands": ["python .moorage/launch.py job tasks:migrate"]},
        "processes": {
            "web": {
                "command": "python .moorage/launch.py serve shop:app",
                "http": True,
                "http_port": 8000,
                "health_check": "/healthz",
            }
        },
    }
    assert image[0] == "FROM registry.example/py:3.13"
    install = json.loads(next(line for line in image if line.startswith("RUN "))[4:])
    assert install[-2:] == ["-r", "needs me.txt"]
    assert {name: inside[name] for name in files_of(shop)} == files_of(shop)


def test_app_comes_back(shop: Path, tmp_path: Path) -> None:
    """Unpacking gives the app's own files, byte for byte, and nothing that packing added."""
    pack(shop, tmp_path / "shop.zip")
    back = tmp_path / "back"
    back.mkdir()

    unpack(tmp_path / "shop.zip", back)

    assert files_of(back) == files_of(shop)
    assert not (back / ".moorage").exists()


def test_own_image_and_config_stay(shop: Path, tmp_path: Path) -> None:
    """An app's own `Dockerfile` and `bentocloud.toml` are kept, and come back."""
    (shop / "Dockerfile").write_text("FROM mine\n")
    (shop / "bentocloud.toml").write_text(TOML)
    back = tmp_path / "back"
    back.mkdir()

    pack(shop, tmp_path / "shop.zip")
    unpack(tmp_path / "shop.zip", back)

    assert members(tmp_path / "shop.zip")["Dockerfile"] == b"FROM mine\n"
    assert files_of(back) == files_of(shop)


def test_packs_are_reproducible(shop: Path, tmp_path: Path) -> None:
    """The same files give the same archive at any time and place, and other files another."""
    first = pack(shop, tmp_path / "1.zip")
    copy = tmp_path / "elsewhere"
    shutil.copytree(shop, copy)
    for path in copy.rglob("*"):
        os.utime(path, (0, 0))  # before the earliest time that the format has
    second = pack(copy, tmp_path / "2.zip")
    (copy / "shop.py").write_text(WSGI + "\n")
    third = pack(copy, tmp_path / "3.zip")

    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert first == second
    assert third.digest != first.digest


def test_packing_needs_no_memory(shop: Path, tmp_path: Path) -> None:
    """A large file passes through on its way into the archive."""
    with (shop / "weights.bin").open("wb") as file:
        file.truncate(64 * MIB)
    pack(shop, tmp_path / "shop.zip")
    tracemalloc.start()
    try:
        packed = pack(shop, tmp_path / "shop.zip")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert packed.size_bytes > 64 * MIB
    assert peak < 8 * MIB


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: (d / "moorage.toml").write_text('[artifact]\nname = "x"\n'), "no \\[service\\]"),
        (lambda d: (d / ".moorage").mkdir() or (d / ".moorage/x").write_text(""), "moorage's own"),
        (lambda d: (d / "bentocloud.toml").write_text("[processes]"), "declares no process"),
        (lambda d: (d / "moorage.toml").unlink(), "no app that Konigle can run"),
        (lambda d: (d / "link").symlink_to("/etc/passwd"), "link"),
    ],
)
def test_apps_that_cannot_run(shop: Path, tmp_path: Path, change: Any, said: str) -> None:
    """What Konigle could not run, or must not see, is refused before anything is sent."""
    change(shop)

    with pytest.raises(InvalidRequestError, match=said):
        pack(shop, tmp_path / "shop.zip")


@pytest.mark.slow
@pytest.mark.parametrize("app", ["shop", "iris"])
def test_declared_process_serves(shop: Path, app: str, tmp_path: Path) -> None:
    """The declared command starts the app, whose health check then answers."""
    directory = unpacked_pack(shop if app == "shop" else IRIS, tmp_path)
    config = tomllib.loads((directory / "bentocloud.toml").read_text())
    process = config["processes"]["web"]

    with running(process["command"], directory) as port:
        status = answers(port, process["health_check"])

    assert status == 200


@pytest.mark.slow
def test_release_commands_run(shop: Path, tmp_path: Path) -> None:
    """The declared release command calls its job once and succeeds."""
    directory = unpacked_pack(shop, tmp_path)
    config = tomllib.loads((directory / "bentocloud.toml").read_text())

    (command,) = config["deploy"]["release_commands"]
    done = subprocess.run(
        command, shell=True, cwd=directory, env=variables(0), capture_output=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, b'{"tables": 2}\n')
    assert (directory / "migrated").read_text() == "yes"


def unpacked_pack(source: Path, tmp_path: Path) -> Path:
    """Unpack everything, as the cloud does."""
    directory = tmp_path / "unpacked"
    pack(source, tmp_path / "app.zip")
    with zipfile.ZipFile(tmp_path / "app.zip") as archive:
        archive.extractall(directory)
    return directory


def variables(port: int) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PORT": str(port), "HOST": "127.0.0.1"}


@contextlib.contextmanager
def running(command: str, directory: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        f"exec {command}", shell=True, cwd=directory, env=variables(port), start_new_session=True
    )
    try:
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def answers(port: int, path: str) -> int:
    """Ask until somebody listens."""
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.02)  # nothing tells when another program listens
        finally:
            connection.close()


@pytest.mark.slow
def test_official_command_line_deploys_a_pack(shop: Path, tmp_path: Path, home: Path) -> None:
    """Konigle's own command line takes a packed app for a project and deploys it."""
    official("konigle")
    directory = unpacked_pack(shop, tmp_path)
    (home / ".konigle").mkdir()
    moment = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=12)
    check = {"checked_at": moment.isoformat(), "latest_version": "1.0.3"}
    (home / ".konigle" / "update_check.json").write_text(json.dumps(check))
    with KonigleEmulator() as emulator:
        settings = emulator.settings
        with Client(settings["api_key"], settings["endpoint"]) as client:
            computer = next(client.computers.iter_all())
            webapp, job_id = client.webapps.create(
                {
                    "computer_id": computer.id,
                    "name": "shop",
                    "runtime": "python3",
                    "web_server": "nginx",
                }
            )
            assert client.jobs.get(job_id).succeeded
            uat = next(client.spaces.iter_all(webapp_id=webapp.id))
            link = {"computer": computer.name, "webapp": "shop", "uat_space_id": uat.id}
            (directory / ".bentocloud.json").write_text(json.dumps(link))

            done = run_official(
                "konigle",
                ["konigle", "cloud", "deploy"],
                env={"KONIGLE_API_KEY": settings["api_key"], "KONIGLE_BASE_URL": emulator.url},
                cwd=directory,
            )

            assert done.returncode == 0, done.stdout + done.stderr
            assert client.spaces.get(uat.id).last_deployment_status == "success"


# Projects -----------------------------------------------------------------------------------------


def git(directory: Path, *words: str) -> str:
    identity = {
        f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    done = subprocess.run(
        ["git", *words],
        cwd=directory,
        env={**os.environ, **identity},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(project: Path) -> Path:
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "first")
    return project


def test_project_under_git(repository: Path, tmp_path: Path) -> None:
    """A project under git's control is packed as its last commit has it."""
    (repository / ".gitignore").write_text("*.log\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "second")
    (repository / "debug.log").write_text("ignored")
    first, second = pack(repository, tmp_path / "1.zip"), pack(repository, tmp_path / "2.zip")

    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        comment = archive.comment.decode()
    assert comment == git(repository, "rev-parse", "HEAD")
    assert set(members(tmp_path / "1.zip")) == {*files_of(repository)} - {"debug.log"}
    assert first == second


@pytest.mark.parametrize("name", ["app.py", "new.txt"])
def test_uncommitted_project(repository: Path, tmp_path: Path, name: str) -> None:
    """A project with changes that are not committed is refused, unless its files are wanted."""
    (repository / name).write_text("changed")

    with pytest.raises(InvalidRequestError, match=f"'{name}' is not committed"):
        pack(repository, tmp_path / "1.zip")
    pack(repository, tmp_path / "2.zip", project_source="directory")

    assert members(tmp_path / "2.zip")[name] == b"changed"


def test_config_that_git_ignores(repository: Path, tmp_path: Path) -> None:
    """A configuration that lies in the directory and not in the commit is missed in time."""
    (repository / ".gitignore").write_text("bentocloud.toml\n")
    git(repository, "rm", "-q", "--cached", "bentocloud.toml")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "second")

    with pytest.raises(InvalidRequestError, match="last commit has no bentocloud"):
        pack(repository, tmp_path / "1.zip")


def test_linked_out_of_the_commit(repository: Path, tmp_path: Path) -> None:
    """A committed link that leads out of the project is refused."""
    (repository / "deep").mkdir()
    (repository / "deep" / "link").symlink_to("../../secret")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "second")

    with pytest.raises(InvalidRequestError, match="leads"):
        pack(repository, tmp_path / "1.zip")


def test_project_directory(project: Path, tmp_path: Path) -> None:
    """What never belongs into a pack stays out at any depth, and an ignore file adds to that."""
    for name in (
        ".env",
        "deep/.env.local",
        "deep/__pycache__/x.pyc",
        "deep/node_modules/x.js",
        ".bentocloud.json",
        "notes.md",
        "data/x.bin",
    ):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x")
    (project / ".bentocloudignore").write_text("# what is left here\n*.md\ndata\n")

    pack(project, tmp_path / "1.zip")

    assert set(members(tmp_path / "1.zip")) == {
        ".bentocloudignore",
        "Dockerfile",
        "app.py",
        "bentocloud.toml",
    }


def test_project_comes_back(project: Path, tmp_path: Path) -> None:
    """A project that was packed as it is comes back as it is."""
    back = tmp_path / "back"
    back.mkdir()

    pack(project, tmp_path / "1.zip")
    unpack(tmp_path / "1.zip", back)

    assert files_of(back) == files_of(project)


def test_archive_is_taken_as_it_is(project: Path, tmp_path: Path) -> None:
    """A ZIP of a project is copied, and one of anything else is refused."""
    pack(project, tmp_path / "project.zip")
    (tmp_path / "other.zip").write_bytes(b"PK")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("Dockerfile", "FROM x")

    packed = pack(tmp_path / "project.zip", tmp_path / "copy.zip")

    assert (tmp_path / "copy.zip").read_bytes() == (tmp_path / "project.zip").read_bytes()
    assert packed.is_file
    assert packed.digest == packed.archive
    for name in ("other.zip", "empty.zip"):
        with pytest.raises(InvalidRequestError):
            pack(tmp_path / name, tmp_path / "copy.zip")


def test_data_and_models(tmp_path: Path) -> None:
    """A model or data is packed as it is, and its digest is that of its content."""
    (tmp_path / "data.bin").write_bytes(b"data")
    packed = pack(tmp_path / "data.bin", tmp_path / "1.zip", kind="data")

    assert members(tmp_path / "1.zip") == {"data.bin": b"data"}
    assert (packed.is_file, packed.size_bytes) == (True, 4)
    assert packed.digest == f"sha256:{hashlib.sha256(b'data').hexdigest()}"
    assert zipfile.is_zipfile(io.BytesIO((tmp_path / "1.zip").read_bytes()))
