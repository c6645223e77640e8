"""How failures look, and which exit code each has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from memory_provider import World

from moorage import errors
from moorage._cli._app import App
from moorage._cli._exit_codes import MEANINGS, ExitCode, exit_code
from moorage._cli._failure import report, wanted_output

KEYS = {"code", "message", "hint", "provider", "profile", "request_id", "retry", "resource"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["artifacts", "get", "ghost"], ExitCode.NOT_FOUND),
        (["deployments", "get", "ghost"], ExitCode.NOT_FOUND),
        (["jobs", "get", "ghost"], ExitCode.NOT_FOUND),
        (["secrets", "get", "ghost"], ExitCode.NOT_FOUND),
        (["logs", "deployment/Bad Name"], ExitCode.USAGE),
        (["artifacts", "get", "Not A Name"], ExitCode.USAGE),
        (["deployments", "promote", "iris", "--to", "production"], ExitCode.UNSUPPORTED),
        (["artifacts", "list", "--profile", "ghost"], ExitCode.ACCESS),
        (["artifacts", "list", "--provider", "ghost"], ExitCode.ACCESS),
        (["resume", "nonsense"], ExitCode.USAGE),
        (["push", "nowhere"], ExitCode.NOT_FOUND),
        (["bogus"], ExitCode.USAGE),
        (["artifacts", "bogus"], ExitCode.USAGE),
        (["artifacts", "list", "--bogus"], ExitCode.USAGE),
        (["artifacts", "get"], ExitCode.USAGE),
        (["artifacts", "list", "--kind", "bogus"], ExitCode.USAGE),
        (["deploy", "iris", "iris", "--timeout", "soon"], ExitCode.USAGE),
        (["deploy", "iris", "iris", "--env", "novalue"], ExitCode.USAGE),
        (["deploy", "iris", "iris", "--env", "A=1", "--env", "A=2"], ExitCode.USAGE),
        (["logs", "iris", "--since", "2026-01-31T12:00:00"], ExitCode.USAGE),
        (["logs", "iris", "--limit", "0"], ExitCode.USAGE),
        (["call", "iris", "GET", "/", "--json", "{"], ExitCode.USAGE),
        (["call", "iris", "GET", "/", "--json", "@nowhere.json"], ExitCode.USAGE),
        (["plan", "iris", "./app"], ExitCode.USAGE),
        (["secrets", "put", "db", "A=b"], ExitCode.USAGE),
        (["secrets", "put", "db"], ExitCode.USAGE),
        (["deployments", "update", "iris"], ExitCode.USAGE),
        (["deployments", "update", "iris", "--env", "A=1", "--clear", "env"], ExitCode.USAGE),
        (["artifacts", "delete", "iris:1"], ExitCode.USAGE),
        (["artifacts"], ExitCode.USAGE),
        ([], ExitCode.USAGE),
    ],
)
def test_exit_code_and_json_error(
    cli: Callable[..., Any], harbor: World, words: list[str], code: ExitCode
) -> None:
    """A failure has its exit code, leaves stdout empty and is one JSON object on stderr."""
    as_text = cli(*words)
    as_json = cli(*words, "-o", "json")

    assert (as_text.code, as_text.out) == (code, "")
    assert as_text.err
    assert (as_json.code, as_json.out) == (code, "")
    assert set(json.loads(as_json.err)) == KEYS
    assert as_json.error["message"]
    assert as_json.error["hint"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UnavailableError("gone"), ExitCode.RETRYABLE),
        (errors.UnavailableError("gone", retry=errors.Retry.EXHAUSTED), ExitCode.RETRYABLE),
        (errors.RateLimitedError("slow down", retry_after_s=3), ExitCode.RETRYABLE),
        (errors.TimedOutError("no answer"), ExitCode.RETRYABLE),
        (errors.AuthenticationError("who?"), ExitCode.ACCESS),
        (errors.PermissionDeniedError("no"), ExitCode.ACCESS),
        (errors.ConflictError("busy"), ExitCode.FAILED),
        (errors.AlreadyExistsError("there"), ExitCode.FAILED),
        (errors.QuotaError("full"), ExitCode.FAILED),
        (errors.IntegrityError("torn"), ExitCode.FAILED),
        (errors.DecodeError("odd"), ExitCode.FAILED),
        (errors.PluginError("broken"), ExitCode.ACCESS),
        (RuntimeError("the driver fell over"), ExitCode.ACCESS),
        (
            errors.UnavailableError("lost", retry=errors.Retry.UNKNOWN_OUTCOME),
            ExitCode.FAILED,
        ),
    ],
)
def test_provider_errors_have_their_codes(
    cli: Callable[..., Any], harbor: World, error: Exception, code: ExitCode
) -> None:
    """What a provider raises decides the exit code by its class and by `retry`."""
    harbor.faults["artifacts.get"].append(error)

    result = cli("artifacts", "get", "iris:1", "-o", "json")

    assert result.code == code
    assert result.error["provider"] == "harbor"
    assert result.error["resource"] == "artifact/iris:1"


def test_every_error_class_has_an_exit_code() -> None:
    """No error of the tree is without a code, and each code has its meaning."""
    classes = [getattr(errors, name) for name in errors.__all__]
    tree = [kind for kind in classes if issubclass(kind, errors.MoorageError)]

    assert {exit_code(kind("x")) for kind in tree} <= set(MEANINGS)
    assert set(MEANINGS) == set(ExitCode)


@pytest.mark.parametrize(
    "words",
    [
        ["-o", "json", "bogus"],
        ["bogus", "-o", "json"],
        ["bogus", "-ojson"],
        ["bogus", "--output=json"],
        ["bogus", "--output", "json"],
        ["artifacts", "-o", "json", "list", "--bogus"],
        ["artifacts", "list", "--bogus", "-o", "json"],
        ["logs", "--bogus", "-fo", "jsonl"],
    ],
)
def test_usage_errors_are_json_wherever_the_format_stands(
    cli: Callable[..., Any], words: list[str]
) -> None:
    """A mistake before `-o json` does not keep a program from reading the error."""
    result = cli(*words)

    assert result.code == ExitCode.USAGE
    assert json.loads(result.err)["code"] == "usage"


def test_what_follows_a_double_dash_is_no_option() -> None:
    """An argument that looks like the option is none."""
    assert wanted_output(["get", "--", "-o", "json"]) == "table"
    assert wanted_output(["get", "-o"]) == "table"


def test_text_error_has_message_and_hint(cli: Callable[..., Any], harbor: World) -> None:
    """Without JSON, an error is a sentence and a hint."""
    harbor.faults["artifacts.get"].append(
        errors.QuotaError("the store is full\x1b[2J", hint="delete something")
    )

    result = cli("artifacts", "get", "iris:1")

    assert result.err == "error: the store is full\\x1b[2J\nhint: delete something\n"


@pytest.mark.parametrize("words", [[], ["-o", "json"], ["--debug"]])
def test_secrets_are_masked_in_errors(
    cli: Callable[..., Any], harbor: World, words: list[str]
) -> None:
    """A provider's message that quotes a secret is shown without it, in tracebacks too."""
    error = errors.ConflictError("hunter2 is too weak; see https://u:pw@host/?sig=abc")
    harbor.faults["secrets.put"].append(error)

    result = cli("secrets", "put", "db", "A=-", *words, stdin=b"hunter2")

    assert result.code == ExitCode.FAILED
    assert "*** is too weak; see https://***@host/?sig=***" in result.err
    assert "hunter2" not in result.err


def test_wrong_fields_are_listed(cli: Callable[..., Any], harbor: World) -> None:
    """What is wrong with single fields stands under the message."""
    harbor.faults["artifacts.get"].append(
        errors.InvalidRequestError("no", fields={"spec.replicas": "too many"})
    )

    assert "  spec.replicas: too many\n" in cli("artifacts", "get", "iris:1").err


def test_unexpected_exception_is_a_clear_message(capsys: pytest.CaptureFixture[str]) -> None:
    """A bug is told as one, with its traceback only where it is asked for."""
    error = RuntimeError("the unthinkable")

    code = report(error, App(), output="json", debug=False)
    quiet = capsys.readouterr()
    report(error, App(), output="table", debug=True)
    debug = capsys.readouterr()

    assert code == ExitCode.FAILED
    assert json.loads(quiet.err)["code"] == "internal"
    assert "bug in moorage" in json.loads(quiet.err)["hint"]
    assert "Traceback" not in quiet.err
    assert "RuntimeError: the unthinkable" in debug.err
    assert quiet.out == debug.out == ""


@pytest.mark.parametrize("words", [[], ["artifacts"], ["jobs"]])
def test_help_instead_of_a_missing_command(cli: Callable[..., Any], words: list[str]) -> None:
    """A missing command shows the help, on stderr, and fails."""
    result = cli(*words)

    assert (result.code, result.out) == (2, "")
    assert "Usage: moorage" in result.err


def test_near_miss_of_a_command(cli: Callable[..., Any]) -> None:
    """A misspelt command is pointed out."""
    assert "did you mean 'deploy'?" in cli("depoly").err


def test_corrupt_configuration(cli: Callable[..., Any], home: Path) -> None:
    """A configuration that is no TOML is named with its line, and stdout stays empty."""
    path = home / ".config" / "moorage" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[profiles.x]\nprovider = \n")
    path.chmod(0o600)

    result = cli("artifacts", "list", "-o", "json")

    assert (result.code, result.out) == (ExitCode.ACCESS, "")
    assert f"{path}:2" in result.error["message"]


def test_unwritable_trace_file(cli: Callable[..., Any], harbor: World) -> None:
    """A trace that cannot be written is refused before anything is asked."""
    result = cli("artifacts", "list", "--trace", "no/such/directory/trace.jsonl")

    assert result.code == ExitCode.USAGE
    assert harbor.requests == {}


@pytest.mark.parametrize(
    "words",
    [
        ["--provider", "harbor", "artifacts", "list", "-o", "name"],
        ["artifacts", "--provider", "harbor", "-o", "name", "list"],
        ["-o", "json", "artifacts", "list", "-o", "name", "--provider", "harbor"],
        ["--provider", "ghost", "artifacts", "list", "--provider", "harbor", "-oname"],
    ],
)
def test_common_options_stand_anywhere(
    cli: Callable[..., Any], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Common options are taken before and after a command, and the innermost one counts."""
    monkeypatch.setenv("MOORAGE_ARTIFACTS", "2")

    result = cli(*words)

    assert (result.code, result.out) == (0, "many:1\nmany:0\n")
