"""`moorage faults` as a real process, and the fixtures as a real run of pytest."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moorage_conformance.faults import FaultServer

MOORAGE = Path(sys.executable).with_name("moorage")


def ask(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    """Send a request with nothing but the standard library."""
    try:
        request = urllib.request.Request(url, data=body, method=method)
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.fixture
def command(server: FaultServer) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run the command before a server."""
    words = ["faults", "run", "--to", server.url, "--fault", "answer status=503 path=/echo"]
    with subprocess.Popen(
        [MOORAGE, *words, "--fault", "replace path=/data nth=2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.slow
def test_command(command: Any, server: FaultServer) -> None:
    """It says where it is in one line, obeys its control, and ends with a signal."""
    process, where = command
    url, control = where["url"], where["control"]
    statuses = [ask(f"{url}/echo")[0] for _ in range(2)]
    pages = [ask(f"{url}/data")[1][:9] for _ in range(2)]
    counts = json.loads(ask(f"{control}/counts")[1])
    requests = json.loads(ask(f"{control}/requests")[1])
    script = json.loads(ask(f"{control}/script")[1])
    new = json.dumps([{"fault": "answer", "status": 418, "times": None}]).encode()
    put = ask(f"{control}/script", "PUT", new)[0]
    bad = ask(f"{control}/script", "PUT", b'[{"fault": "answer", "status": 1}]')
    teapots = [ask(f"{url}/data")[0] for _ in range(2)]
    added = ask(f"{control}/script", "POST", b'[{"fault": "reset"}]')[0]
    ask(f"{control}/counts", "DELETE")
    none = json.loads(ask(f"{control}/counts")[1])
    lost = ask(f"{control}/nothing")[0]
    broken = ask(f"{control}/connections", "DELETE")[0]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)

    assert statuses == [503, 200]
    assert pages == [b'{"name": ', b"<!doctype"]
    assert (counts["requests"], counts["requests_forwarded"], counts["answers"]) == (4, 3, 1)
    assert [request["faults"] for request in requests] == [["answer"], [], [], ["replace"]]
    assert [fault["fault"] for fault in script] == ["answer", "replace"]
    assert (put, added, lost, broken) == (204, 204, 404, 204)
    assert bad[0] == 400
    assert b"status" in bad[1]
    assert teapots == [418, 418]
    assert none["requests"] == 0
    assert len(server.requests) == 3
    assert process.returncode == 130
    assert out == ""
    assert err.strip() == "error: interrupted"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "ftp://x"], "'ftp://x' cannot stand behind a proxy"),
        (["--to", "http://x", "--fault", "cut"], "missing required field `after_bytes`"),
        ([], "--to"),
    ],
)
def test_bad_words(words: list[str], said: str) -> None:
    """What cannot be is refused before anything listens."""
    done = subprocess.run(
        [MOORAGE, "faults", "run", *words], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode != 0
    assert done.stdout == ""
    assert said in done.stderr


TESTS = """
import sys
import urllib.request

def test_nothing_is_imported():
    assert not [name for name in sys.modules if name.split(".")[0] in {"h11", "wsproto"}]
    assert "moorage_conformance.faults" not in sys.modules

def test_fixtures(fault_proxy, fault_server):
    from moorage_conformance.faults import Answer

    proxies = [fault_proxy(fault_server.url) for _ in range(2)]
    proxies[0].script(Answer(status=200, body="mine"))
    assert urllib.request.urlopen(proxies[0].url + "/echo").read() == b"mine"
    assert b"method" in urllib.request.urlopen(proxies[1].url + "/echo").read()
    assert len(fault_server.requests) == 1

def test_nothing_is_left():
    import threading

    assert threading.active_count() == 1
"""


@pytest.mark.slow
def test_plugin(tmp_path: Path) -> None:
    """The fixtures are there where the package is, and nothing is imported before they are used."""
    (tmp_path / "test_it.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "3 passed" in done.stdout, done.stdout + done.stderr
