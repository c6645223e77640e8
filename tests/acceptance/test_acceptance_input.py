"""Bad input on the real command: refused clearly, and nothing of it kept."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Stranger

pytestmark = pytest.mark.slow

_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2

PLUGIN = """
import sys
import moorage.plugin

@moorage.plugin.hookimpl
def moorage_provider():
    return moorage.plugin.ProviderInfo(
        name="{name}", summary="", open=print, api_versions={versions}
    )
"""


def _install(site: Path, distribution: str, name: str, code: str) -> None:
    module = distribution.replace("-", "_")
    info = site / f"{module}-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[moorage.providers]\n{name} = {module}\n")
    (site / f"{module}.py").write_text(code)


def test_bad_plugins(stranger: Stranger, tmp_path: Path) -> None:
    """Plugins that are broken, alike or of another time are refused, and nobody else with them."""
    site = tmp_path / "site"
    good = PLUGIN.format(name="twin", versions="(1, 1)")
    _install(site, "moorage-broken", "broken", "import nowhere_at_all")
    _install(site, "moorage-exits", "exits", "raise SystemExit(0)")
    _install(site, "moorage-twin-one", "twin", good)
    _install(site, "moorage-twin-two", "twin", good)
    _install(site, "moorage-newer", "newer", PLUGIN.format(name="newer", versions="(7, 9)"))
    stranger.env["PYTHONPATH"] = str(site)

    names = ("broken", "exits", "twin", "newer", "nowhere")
    commands = {
        name: stranger.begin("jobs", "list", "--provider", name, "-o", "json") for name in names
    }
    refused = {name: stranger.finish(command) for name, command in commands.items()}
    listed = stranger.run("providers")
    used = stranger.run("deployments", "list")

    assert {name: ended.code for name, ended in refused.items()} == dict.fromkeys(names, 4)
    assert {ended.error["code"] for ended in refused.values()} == {"plugin"}
    assert all(ended.error["hint"] and not ended.out for ended in refused.values())
    said = {name: ended.error["message"] for name, ended in refused.items()}
    assert "nowhere_at_all" in said["broken"]
    assert "SystemExit" in said["exits"]
    assert "moorage-twin-one" in said["twin"]
    assert "moorage-twin-two" in said["twin"]
    assert "version 7 to 9" in said["newer"]
    assert "this moorage has version 1" in said["newer"]
    assert listed.code == 0
    well = {one["name"] for one in listed.data if one["ok"]}
    assert well == {"abeja", "bentocloud", "konigle", "local"}
    assert (used.code, used.data) == (0, [])


def test_bad_paths(stranger: Stranger) -> None:
    """What cannot be an artifact is refused with its name before anything is stored."""
    work = stranger.work
    for name in ("outside", "newline", "closed", "pipe"):
        stranger.app(name)
    (work / "empty").mkdir()
    (work / "outside" / "link").symlink_to("/etc/passwd")
    (work / "newline" / "a\nb").write_text("x")
    os.mkfifo(work / "pipe" / "queue")
    cases = {
        ("push", "missing"): (3, "not_found", "'missing'"),
        ("push", "empty"): (2, "invalid_request", "empty'"),
        ("push", "outside"): (2, "invalid_request", "'link'"),
        ("push", "newline"): (2, "invalid_request", r"'a\nb'"),
        ("push", "pipe"): (2, "invalid_request", "'queue'"),
        ("push", "/dev/zero", "--kind", "data"): (2, "invalid_request", "'/dev/zero'"),
        ("push", "x" * 300): (2, "invalid_request", "300 characters"),
        ("push", "closed", "--name", "x" * 300): (2, "invalid_request", "300 characters"),
        ("push", "closed", "--name", "../up"): (2, "invalid_request", "'../up'"),
        ("push", "closed", "--name", ""): (2, "invalid_request", "''"),
        ("push", "closed", "--version", ".."): (2, "invalid_request", "'..'"),
        ("deploy", "a\nb", "./closed"): (2, "invalid_request", r"'a\nb'"),
        ("deploy", "ünï", "./closed"): (2, "invalid_request", "cannot be the name"),
    }

    commands = [stranger.begin(*words, "-o", "json") for words in cases]
    ended = [stranger.finish(command) for command in commands]
    stored = stranger.run("artifacts", "list")

    for words, (code, kind, said), end in zip(cases, cases.values(), ended, strict=True):
        assert (words, end.code, end.error["code"]) == (words, code, kind)
        assert said in end.error["message"]
        assert end.error["hint"]
        assert not end.out
    assert stored.data == []
    assert stranger.healthy()


def _like_anybody() -> None:
    """Give up, before a program starts, root's right to read what it likes."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) and os.geteuid() == 0:
            raise OSError(ctypes.get_errno(), "cannot give it up")


def test_unreadable_file(stranger: Stranger) -> None:
    """A file or a configuration that may not be read is refused by name, and nothing is stored."""
    stranger.app("closed")
    (stranger.work / "closed" / "app.py").chmod(0)
    config = stranger.work / "config.toml"
    config.touch(mode=0)

    pushed = stranger.run("push", "closed", preexec_fn=_like_anybody)
    configured = stranger.run(
        "jobs", "list", env={"MOORAGE_CONFIG": str(config)}, preexec_fn=_like_anybody
    )

    assert (pushed.code, pushed.error["code"]) == (2, "invalid_request")
    assert "'app.py' cannot be read" in pushed.error["message"]
    assert (configured.code, configured.error["code"]) == (4, "config")
    assert "config.toml cannot be read" in configured.error["message"]
    assert configured.error["hint"]
    assert stranger.run("artifacts", "list").data == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_others(stranger: Stranger) -> None:
    """The configuration and the home of somebody else are not used, though they can be read."""
    assert stranger.run("jobs", "list").code == 0
    config = stranger.work / "config.toml"
    config.write_text('default_profile = "local"\n')
    os.chown(config, 1234, 1234)

    configured = stranger.run("jobs", "list", env={"MOORAGE_CONFIG": str(config)})
    os.chown(stranger.state, 1234, 1234)
    home = stranger.run("jobs", "list")
    os.chown(stranger.state, 0, 0)

    for ended in (configured, home):
        assert (ended.code, ended.error["code"]) == (4, "config")
        assert "belongs to another user" in ended.error["message"]
        assert ended.error["hint"]
    assert stranger.healthy()


def test_push_without_room_and_killed(stranger: Stranger) -> None:
    """A push that finds no room, or is killed, leaves nothing; the next one stores it whole."""
    size = 256 << 20
    content = stranger.work / "data.bin"
    with content.open("wb") as file:
        file.write(os.urandom(1 << 20))
        file.truncate(size)
    words = ("push", content.name, "--kind", "data", "--name", "data")

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20))

    full = stranger.run(*words, preexec_fn=no_room)
    left_by_full = _files(stranger.state / "tmp") + _files(stranger.state / "blobs")
    killed = stranger.begin(*words)
    while not sum(file.stat().st_blocks for file in _files(stranger.state / "tmp")):
        assert killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    code = stranger.finish(killed).code
    listed = stranger.run("artifacts", "list")
    pushed = stranger.run(*words)
    pulled = stranger.run("pull", "data", "back.bin")

    assert (full.code, full.error["code"]) == (1, "quota")
    assert full.error["hint"]
    assert left_by_full == []
    assert code == -signal.SIGKILL
    assert listed.data == []
    assert pushed.data["size_bytes"] == size
    assert _files(stranger.state / "tmp") == []
    assert pulled.code == 0
    assert subprocess.run(["cmp", content, stranger.work / "back.bin"], check=False).returncode == 0
    assert stranger.healthy()


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]
