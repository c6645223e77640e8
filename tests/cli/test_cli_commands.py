"""What single commands do beyond calling the portable API."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from memory_provider import World

from moorage import errors
from moorage._cli._exit_codes import ExitCode
from moorage.plugin import LogLevel, LogPage, LogRecord

Cli = Callable[..., Any]


# Artifacts ----------------------------------------------------------------------------------------


def test_push_and_pull_a_directory(cli: Cli, harbor: World, tmp_path: Path) -> None:
    """What is pushed comes back, and the path of it is printed."""
    source = tmp_path / "weights"
    source.mkdir()
    (source / "café.bin").write_bytes(b"\x00\x01")

    pushed = cli("push", str(source), "--kind", "model", "--label", "by=me", "-o", "json")
    pulled = cli("pull", "weights", str(tmp_path / "back"))
    again = cli("pull", "weights", str(tmp_path / "back"))

    assert (pushed.code, pushed.data["kind"], pushed.data["labels"]) == (0, "model", {"by": "me"})
    assert pulled.out == f"{tmp_path / 'back'}\n"
    assert (tmp_path / "back" / "café.bin").read_bytes() == b"\x00\x01"
    assert again.code == ExitCode.FAILED


def test_deploy_of_a_path_pushes_it(cli: Cli, harbor: World, tmp_path: Path) -> None:
    """A path is pushed first; a bare word is an artifact, whatever directories there are."""
    cli("init", "web")

    by_word = cli("deploy", "web", "web", "-o", "json")
    by_path = cli("deploy", "web", "./web", "-o", "json")

    assert by_word.code == ExitCode.NOT_FOUND
    assert "./web" in by_word.error["hint"]
    assert by_path.data["artifact"]["name"] == "web"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("deploy", "Bad Name", "./web"), ExitCode.USAGE),
        (("deploy", "web", "./web", "--replicas", "0"), ExitCode.USAGE),
        (("deploy", "web", "./web", "--env", "1A=x"), ExitCode.USAGE),
        (("jobs", "submit", "./web", "Bad Name"), ExitCode.USAGE),
    ],
)
def test_path_is_not_pushed_for_what_is_refused(
    cli: Cli, harbor: World, words: tuple[str, ...], code: ExitCode
) -> None:
    """Words that are wrong are refused before the path among them is pushed."""
    cli("init", "web")

    refused = cli(*words)

    assert refused.code == code
    assert not harbor.requests["artifacts.push"]


def test_several_artifacts_are_deleted(
    cli: Cli, harbor: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each named artifact is deleted and named."""
    monkeypatch.setenv("MOORAGE_ARTIFACTS", "3")
    cli("artifacts", "list")
    monkeypatch.delenv("MOORAGE_ARTIFACTS")

    result = cli("artifacts", "delete", "many:0", "many:2", "--yes", "-o", "name")

    assert result.out == "many:0\nmany:2\n"
    assert cli("artifacts", "list", "-o", "name").out == "many:1\n"


# Calls --------------------------------------------------------------------------------------------


@pytest.fixture
def web(cli: Cli, harbor: World) -> None:
    """Deploy something in the harbor."""
    cli("init", "web")
    cli("deploy", "web", "./web")


@pytest.mark.usefixtures("web")
def test_call_prints_the_body(cli: Cli) -> None:
    """The body of the answer is printed as it is."""
    result = cli("call", "web", "post", "/predict?x=1", "--json", '{"a": "é"}', "-H", "X-One: 1")

    answer = json.loads(result.out)
    assert result.code == 0
    assert (answer["method"], answer["path"]) == ("POST", "/predict?x=1")
    assert json.loads(answer["body"]) == {"a": "é"}
    assert ["X-One", "1"] in answer["headers"]


@pytest.mark.usefixtures("web")
def test_call_with_data_from_stdin(cli: Cli) -> None:
    """A body comes from standard input, with its content type."""
    result = cli(
        "call", "web", "PUT", "/", "--data", "-", "--content-type", "text/csv", stdin=b"a,b\n1,2\n"
    )

    assert json.loads(result.out)["body"] == "a,b\n1,2\n"
    assert ["content-type", "text/csv"] in json.loads(result.out)["headers"]


@pytest.mark.usefixtures("web")
def test_call_as_data(cli: Cli) -> None:
    """With `-o json`, the status and the headers stand beside the body."""
    result = cli("call", "web", "GET", "/", "-o", "json")

    assert result.data["status"] == 200
    assert result.data["headers"] == [["content-type", "application/json"]]
    assert result.data["json"]["method"] == "GET"


@pytest.mark.usefixtures("web")
@pytest.mark.parametrize(
    "words",
    [
        ["--json", "{}", "--data", "x"],
        ["-H", "token abc"],
        ["-H", "A: 1", "-H", "A: 2"],
        ["--json", "NaN"],
    ],
)
def test_bad_calls_are_refused(cli: Cli, harbor: World, words: list[str]) -> None:
    """What cannot be sent is refused before it is, and a header's value is not repeated."""
    result = cli("call", "web", "POST", "/", *words)

    assert result.code == ExitCode.USAGE
    assert harbor.requests["deployments.call"] == 0
    assert "abc" not in result.err


# Logs ---------------------------------------------------------------------------------------------

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def log(harbor: World) -> World:
    """Write some lines."""
    harbor.logs = [
        LogRecord(
            timestamp=BEGIN + timedelta(seconds=number),
            message=f"line {number}",
            level=LogLevel.ERROR if number == 2 else LogLevel.INFO,
            stream="stdout",
        )
        for number in range(5)
    ]
    return harbor


def test_tail_is_lines(cli: Cli, log: World) -> None:
    """A log is one line a record, with its moment; a bare name is a deployment."""
    result = cli("logs", "web", "--limit", "2")

    assert result.out == "2026-01-31T12:00:03.000Z line 3\n2026-01-31T12:00:04.000Z line 4\n"


def test_tail_in_other_formats(cli: Cli, log: World) -> None:
    """`wide` tells where a record comes from, `name` is the message alone, `jsonl` is all."""
    wide = cli("logs", "job/1", "-o", "wide").out.splitlines()[2]
    name = cli("logs", "job/1", "-o", "name").out
    jsonl = cli("logs", "job/1", "-o", "jsonl").out.splitlines()
    whole = cli("logs", "job/1", "-o", "json").data

    assert wide == "2026-01-31T12:00:02.000Z error stdout - line 2"
    assert name == "".join(f"line {number}\n" for number in range(5))
    assert [json.loads(line)["message"] for line in jsonl] == name.splitlines()
    assert [record["message"] for record in whole] == name.splitlines()


def test_follow_begins_with_the_newest_and_ends_with_the_job(cli: Cli, log: World) -> None:
    """A follow shows the newest records first, then what is written, then why it ended."""
    newer = LogRecord(timestamp=BEGIN + timedelta(seconds=9), message="line 9")
    ordinary, polls = log.log_page, iter(range(100))

    def page(target: Any, query: Any) -> LogPage:
        if next(polls) == 2:
            log.logs.append(newer)
        found = ordinary(target, query)
        ended = bool(found.records) and found.records[-1] == newer
        return LogPage(
            records=found.records, cursor=found.cursor, older=found.older, finished=ended
        )

    log.log_page = page
    result = cli("logs", "job/1", "--follow", "--limit", "2", "-o", "name")

    assert result.code == 0
    assert result.out == "line 3\nline 4\nline 9\n"
    assert "finished" in result.err


def test_lost_log_is_retryable(cli: Cli, log: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of nothing is an error with its own exit code."""
    log.faults["logs.fetch"].extend(errors.NotFoundError("no such job") for _ in range(2))

    assert cli("logs", "job/1").code == ExitCode.NOT_FOUND
    assert cli("logs", "job/1", "--follow").code == ExitCode.NOT_FOUND


# Secrets ------------------------------------------------------------------------------------------


def test_secret_values_come_from_everywhere_but_the_command_line(
    cli: Cli, harbor: World, tmp_path: Path
) -> None:
    """Standard input, files and files of lines give values; they are shown only on demand."""
    (tmp_path / "token").write_text("from-file\n")
    (tmp_path / "many.env").write_text("# comment\nexport B='two words'\n\nC=a=b\nD=\"\"\n")

    put = cli(
        "secrets", "put", "db", "A=-", "--from-file", f"T={tmp_path / 'token'}",
        "--from-env-file", str(tmp_path / "many.env"), "-o", "json", stdin=b"from-stdin\n",
    )  # fmt: skip
    masked = cli("secrets", "get", "db", "-o", "json")
    table = cli("secrets", "get", "db")
    revealed = cli("secrets", "get", "db", "--reveal", "-o", "json")

    assert (put.code, put.data["keys"]) == (0, ["A", "B", "C", "D", "T"])
    assert set(masked.data["values"].values()) == {"***"}
    assert "from-" not in masked.out + table.out + put.out
    assert "A=***" in table.out
    assert revealed.data["values"] == {
        "A": "from-stdin",
        "B": "two words",
        "C": "a=b",
        "D": "",
        "T": "from-file",
    }


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (["KEY=hunter2"], b""),
        (["KEY"], b"hunter2"),
        (["KEY=-"], b"\xffhunter2"),
        (["A=-", "B=-"], b"hunter2"),
        (["KEY=-", "--from-env-file", "-"], b"hunter2"),
        (["--from-env-file", "-"], b"hunter2"),
        (["--from-env-file", "-"], b"A=hunter2\nA=hunter2\n"),
        (["--from-file", "KEY=/nowhere/at/all"], b""),
        ([], b""),
    ],
)
def test_bad_secret_is_refused_and_never_repeated(
    cli: Cli, harbor: World, words: list[str], stdin: bytes
) -> None:
    """A value that is given wrongly is neither stored nor shown."""
    result = cli("secrets", "put", "db", *words, "-o", "json", stdin=stdin)

    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert "hunter2" not in result.err
    assert harbor.requests == {}


# Providers and doctor -----------------------------------------------------------------------------


def test_broken_provider_is_a_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken provider is shown with what is wrong, and the others work."""
    info = tmp_path / "moorage_wreck-6.6.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moorage-wreck\nVersion: 6.6\n")
    (info / "entry_points.txt").write_text("[moorage.providers]\nwreck = moorage_wreck\n")
    (tmp_path / "moorage_wreck.py").write_text("import there_is_no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    listed = cli("providers", "-o", "json")
    table = cli("providers", "list", "-o", "wide")
    examined = cli("doctor", "--provider", "harbor", "-o", "json")

    found = {status["name"]: status for status in listed.data}
    assert listed.code == table.code == 0
    assert found["harbor"]["ok"] is True
    wreck = found["wreck"]
    assert (wreck["distribution"], wreck["version"]) == ("moorage-wreck", "6.6")
    assert (wreck["ok"], wreck["phase"]) == (False, "import")
    assert "there_is_no_such_module" in wreck["error"]
    assert "broken" in table.out
    assert (examined.code, examined.data["ok"]) == (ExitCode.FAILED, False)
    assert {c["check"] for c in examined.data["checks"] if c["status"] == "failed"} == {
        "plugin wreck"
    }


def test_provider_shows_what_it_can_do(cli: Cli) -> None:
    """Every capability is shown with its level and the reason."""
    table = cli("providers", "show", "harbor").out.splitlines()
    data = cli("providers", "show", "harbor", "-o", "json").data

    promote = next(line for line in table if line.startswith("deployments.promote "))
    assert "unsupported" in promote
    assert "a harbor has no stages" in promote
    assert data["capabilities"]["logs.follow.job"]["level"] == "emulated"
    assert len(data["capabilities"]) == len(table) - 1
    assert {setting["key"] for setting in data["settings"]} == {"polls", "artifacts"}


def test_doctor_of_a_sound_set_up(cli: Cli, harbor: World) -> None:
    """Where all is well, every check is shown and the exit code is 0."""
    result = cli("doctor", "-o", "json")

    assert (result.code, result.data["ok"]) == (0, True)
    details = {check["check"]: check["detail"] for check in result.data["checks"]}
    assert {"python", "packages", "configuration", "plugin harbor", "keyring", "provider"} <= {
        *details
    }
    packages = {package.partition(" ")[0] for package in details["packages"].split(", ")}
    assert {"moorage", "click", "tomlkit", "websocket-client"} <= packages
    assert not {"keyring", "pytest"} & packages


def test_doctor_tells_who_can_read_the_configuration(cli: Cli, home: Path, harbor: World) -> None:
    """A configuration that others can read is a warning with the command that mends it."""
    path = home / ".config" / "moorage" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("# nothing yet\n")
    path.chmod(0o644)

    result = cli("doctor", "-o", "json")

    (check,) = [check for check in result.data["checks"] if check["check"] == "permissions"]
    assert (result.code, check["status"], check["hint"]) == (0, "warning", f"chmod 600 {path}")


def test_doctor_fails_with_an_unreachable_provider(cli: Cli, harbor: World) -> None:
    """A provider that does not answer makes the command fail."""
    harbor.faults["deployments.list"].append(errors.UnavailableError("nobody is there"))

    result = cli("doctor")

    assert result.code == ExitCode.FAILED
    assert "nobody is there" in result.out


# Init ---------------------------------------------------------------------------------------------


def test_init_writes_an_app_that_is_valid(cli: Cli, tmp_path: Path) -> None:
    """The files are listed, name the app after its directory, and hold a valid manifest."""
    from moorage._source import open_source

    result = cli("init", str(tmp_path / "My Model"), "-o", "json")

    source = open_source(tmp_path / "My Model")
    assert [Path(item["path"]).name for item in result.data] == [f.path for f in source.files()]
    assert source.app is not None
    assert source.app.name == "my-model"
    assert source.app.service is not None
    assert list(source.app.jobs) == ["summarize"]


def test_init_overwrites_nothing(cli: Cli, tmp_path: Path) -> None:
    """A directory that holds one of the files is left as it is."""
    (tmp_path / "app.py").write_text("mine")

    result = cli("init", str(tmp_path), "--name", "app")

    assert (result.code, result.out) == (ExitCode.FAILED, "")
    assert [path.name for path in tmp_path.iterdir()] == ["app.py"]


def test_init_with_a_name_that_cannot_be(cli: Cli, tmp_path: Path) -> None:
    """A directory whose name cannot be an artifact's needs `--name`."""
    result = cli("init", str(tmp_path / "日本"))

    assert result.code == ExitCode.USAGE
    assert "--name" in result.err
    assert not (tmp_path / "日本").exists()


# Requests -----------------------------------------------------------------------------------------


def test_trace_is_redacted_json_for_its_owner(cli: Cli, harbor: World, tmp_path: Path) -> None:
    """`--trace` adds one line of JSON for each call, in a file that nobody else can read."""
    trace = tmp_path / "trace.jsonl"

    cli("secrets", "put", "db", "A=-", "--trace", str(trace), stdin=b"hunter2")
    cli("secrets", "get", "db", "--reveal", "--trace", str(trace))

    events = [json.loads(line) for line in trace.read_text().splitlines()]
    assert [event["operation"] for event in events] == ["secrets.put", "secrets.get"]
    assert {event["event"] for event in events} == {"call finished"}
    assert "hunter2" not in trace.read_text()
    assert trace.stat().st_mode & 0o777 == 0o600


def test_debug_shows_the_calls_on_stderr(cli: Cli, harbor: World) -> None:
    """`--debug` shows each call on stderr and leaves stdout to the data."""
    result = cli("artifacts", "list", "-o", "json", "--debug")

    assert result.data == []
    assert "artifacts.list" in result.err


def test_nothing_listens_afterwards(cli: Cli, harbor: World) -> None:
    """A program that calls the command does not keep its logging."""
    import structlog

    cli("artifacts", "list", "--debug")

    assert not structlog.is_configured()
    assert "artifacts.list" not in cli("artifacts", "list").err


def test_shadowed_variable_is_said_once(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the configuration says and does not use is a note on stderr, with data too."""
    monkeypatch.setenv("MOORAGE_CONFIG", str(home / "nowhere.toml"))
    monkeypatch.setenv("MOORAGE_PROVIDER", "harbor")

    result = cli("artifacts", "list", "-o", "json")

    assert result.data == []
    assert result.err.count("note: ") == 1
    assert os.environ["MOORAGE_CONFIG"] in result.err


# A provider's own commands ------------------------------------------------------------------------


def test_commands_of_a_provider(cli: Any) -> None:
    """A provider's own commands stand under its name, and connect to it by themselves."""
    told = cli("harbor", "tide", "-o", "json")
    helped = cli("harbor", "--help")

    assert (told.code, told.data) == (0, {"tide": "high at harbor"})
    assert "Tell how high the water is." in helped.out
    assert "--profile" in helped.out


def test_provider_without_commands(cli: Any) -> None:
    """A provider that adds none, and a name that is neither, are told apart."""
    none = cli("local", "tide")
    neither = cli("harbr", "tide")

    assert (none.code, neither.code) == (2, 2)
    assert "the provider 'local' adds no commands" in none.err
    assert "there is no command 'harbr'" in neither.err
