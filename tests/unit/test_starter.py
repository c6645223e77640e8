"""The app that a newcomer starts from."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from moorage._source import open_source
from moorage._starter import write_app
from moorage.errors import AlreadyExistsError, InvalidRequestError

FILES = ["README.md", "app.py", "batch.py", "model.py", "moorage.toml"]

# Calls the app as a server and a job runner do, and prints what it answers.
PROGRAM = """
import importlib, io, json, sys
manifest = json.loads(sys.argv[1])
sys.path.insert(0, ".")
def load(name):
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
def ask(method, path, body=b""):
    started = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body)}
    environ["CONTENT_LENGTH"] = str(len(body)) if body else ""
    app = load(manifest["app"])
    answer = b"".join(app(environ, lambda status, headers: started.append((status, headers))))
    return [started[0][0], json.loads(answer)]
answers = [
    ask("GET", manifest["health"]),
    ask("GET", "/"),
    ask("POST", "/predict", b'{"numbers": [1, 2, 6]}'),
    ask("POST", "/predict", b'{"numbers": "12"}'),
    ask("POST", "/predict"),
    ask("GET", "/nothing"),
]
job = load(manifest["job"])({"numbers": [1, 2, 6]})
print(json.dumps([answers, job]))
"""


def test_works(tmp_path: Path) -> None:
    """What is written is a valid app whose service and job answer, and it is named as asked."""
    written = write_app(tmp_path / "new" / "web", "fleet-7")
    app = open_source(tmp_path / "new" / "web").app
    assert app is not None
    assert app.service is not None
    names = {"app": app.service.app, "health": app.service.health}
    names["job"] = app.jobs["summarize"].handler

    run = [sys.executable, "-I", "-B", "-c", PROGRAM, json.dumps(names)]
    done = subprocess.run(run, cwd=written[0].parent, capture_output=True, check=True, timeout=60)
    answers, job = json.loads(done.stdout.splitlines()[-1])

    assert [path.name for path in written] == FILES
    assert app.name == "fleet-7"
    assert "my-app" not in "".join(path.read_text() for path in written)
    assert [status[:3] for status, _ in answers] == ["200", "200", "200", "400", "400", "404"]
    assert answers[1][1] == {"message": "Hello from fleet-7"}
    assert answers[2][1] == job
    assert (job["count"], job["mean"]) == (3, 3)


def test_overwrites_nothing(tmp_path: Path) -> None:
    """Every file in the way is named, a broken link too, and nothing is written beside it."""
    (tmp_path / "model.py").write_text("mine")
    (tmp_path / "app.py").symlink_to("nowhere")

    with pytest.raises(AlreadyExistsError, match=r"there is app\.py, model\.py in"):
        write_app(tmp_path, "web")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.py", "model.py"]
    assert (tmp_path / "model.py").read_text() == "mine"


def test_beside_others(tmp_path: Path) -> None:
    """A directory may hold other files."""
    (tmp_path / "data.csv").write_text("1")

    write_app(str(tmp_path), "web")

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*FILES, "data.csv"])


@pytest.mark.parametrize("name", ["", "My App", "a/b", "../a", "a\n", "a" * 64])
def test_bad_name(tmp_path: Path, name: str) -> None:
    """A name that no artifact can have is refused before anything is written."""
    with pytest.raises(InvalidRequestError, match="cannot be the name of an artifact"):
        write_app(tmp_path / "new", name)

    assert not (tmp_path / "new").exists()


def test_unwritable() -> None:
    """A directory that cannot be made, by root neither, is named."""
    with pytest.raises(InvalidRequestError, match="'/proc/self/nothing' cannot be written"):
        write_app("/proc/self/nothing", "web")


def test_no_room() -> None:
    """A disk that is full leaves nothing behind, the new directory neither."""
    program = (
        "import resource, sys\n"
        "from moorage._starter import write_app\n"
        "from moorage.errors import QuotaError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
        "try:\n"
        "    write_app(sys.argv[1], 'web')\n"
        "except QuotaError as error:\n"
        "    print(error.message)\n"
    )
    with tempfile.TemporaryDirectory() as directory:
        run = [sys.executable, "-c", program, f"{directory}/new/web"]
        done = subprocess.run(run, capture_output=True, check=True, text=True, timeout=60)

        assert "there is no room in" in done.stdout
        assert list(Path(directory).iterdir()) == []
