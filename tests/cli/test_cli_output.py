"""What goes to stdout, in every format."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from memory_provider import World

from moorage._cli._output import Output, View, builtins
from moorage._cli._text import cell, seconds, size, visible, width
from moorage.plugin import Artifact, ArtifactKind, LogRecord, SecretValue

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def artifact(name: str, version: str, **fields: Any) -> Artifact:
    return Artifact(
        id=f"{name}:{version}", name=name, version=version, kind=ArtifactKind.MODEL, **fields
    )


@pytest.fixture
def stored(harbor: World) -> tuple[Artifact, ...]:
    """Put some artifacts into the harbor."""
    found = (
        artifact("iris", "1", labels={"by": "Zoë", "日本": "語"}, created_at=MOMENT),
        artifact("iris", "2", size_bytes=5 * 1024**2, raw={"nested": {"list": [1, None, 2.5]}}),
    )
    harbor.artifacts = {item.id: (item, {}) for item in found}
    return found


def test_json_is_the_struct(cli: Callable[..., Any], stored: tuple[Artifact, ...]) -> None:
    """`-o json` prints each struct with all of its fields, non-ASCII text as it is."""
    result = cli("artifacts", "list", "-o", "json")

    assert result.code == 0
    assert msgspec.convert(result.data, list[Artifact]) == list(reversed(stored))
    assert "Zoë" in result.out
    assert result.err == ""


def test_jsonl_is_one_line_each(cli: Callable[..., Any], stored: tuple[Artifact, ...]) -> None:
    """`-o jsonl` prints one object a line."""
    result = cli("artifacts", "list", "-o", "jsonl")

    found = [msgspec.json.decode(line, type=Artifact) for line in result.out.splitlines()]
    assert found == list(reversed(stored))


def test_yaml_says_the_same(cli: Callable[..., Any], stored: tuple[Artifact, ...]) -> None:
    """`-o yaml` is read back as the same data as `-o json`."""
    assert yaml.safe_load(cli("artifacts", "list", "-o", "yaml").out) == (
        cli("artifacts", "list", "-o", "json").data
    )


def test_names_can_be_passed_on(cli: Callable[..., Any], stored: tuple[Artifact, ...]) -> None:
    """`-o name` prints what `get` takes, and nothing else."""
    names = cli("artifacts", "list", "-o", "name").out.split()

    assert names == ["iris:2", "iris:1"]
    assert [cli("artifacts", "get", name, "-o", "name").out for name in names] == [
        "iris:2\n",
        "iris:1\n",
    ]


def test_table_is_aligned(cli: Callable[..., Any], stored: tuple[Artifact, ...]) -> None:
    """A table has a header and columns that begin where the header does."""
    lines = cli("artifacts", "list").out.splitlines()

    assert lines[0].split() == ["NAME", "VERSION", "KIND", "STATE", "SIZE", "CREATED"]
    assert [line[lines[0].index("SIZE") :].split("  ")[0] for line in lines[1:]] == ["5.0 MiB", "-"]
    assert "2026-01-31 12:00:00Z" in lines[2]


def test_wide_shows_more(cli: Callable[..., Any], stored: tuple[Artifact, ...]) -> None:
    """`-o wide` adds columns, aligned in spite of wide characters."""
    header, _, line = cli("artifacts", "list", "-o", "wide").out.splitlines()

    assert header.startswith("NAME  VERSION")
    assert "LABELS" in header
    assert "by=Zoë, 日本=語" in line


@pytest.mark.parametrize(
    ("format_", "expected"),
    [("json", "[]\n"), ("yaml", "[]\n"), ("jsonl", ""), ("name", ""), ("table", ""), ("wide", "")],
)
def test_empty_list(cli: Callable[..., Any], harbor: World, format_: str, expected: str) -> None:
    """An empty list is empty data, and never a sentence on stdout."""
    result = cli("artifacts", "list", "-o", format_)

    assert (result.code, result.out) == (0, expected)


@pytest.mark.parametrize("format_", ["table", "wide", "json", "jsonl", "yaml", "name"])
@pytest.mark.parametrize(
    "words",
    [
        ["artifacts", "get", "iris:1"],
        ["artifacts", "list"],
        ["secrets", "list"],
        ["jobs", "list"],
        ["deployments", "list"],
        ["providers", "list"],
        ["providers", "show", "harbor"],
        ["profiles", "list"],
        ["profiles", "show"],
        ["profiles", "explain"],
    ],
)
def test_every_format_can_be_read(
    cli: Callable[..., Any], stored: tuple[Artifact, ...], words: list[str], format_: str
) -> None:
    """Every command writes every format, and the formats of data are valid."""
    result = cli(*words, "-o", format_)

    assert result.code == 0
    if format_ == "json":
        json.loads(result.out)
    elif format_ == "jsonl":
        assert all(json.loads(line) is not None for line in result.out.splitlines())
    elif format_ == "yaml":
        assert yaml.safe_load(result.out) == cli(*words, "-o", "json").data


def test_stream_is_valid_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A list that is written as it comes is one valid document in the end."""
    records = [LogRecord(message="one"), LogRecord(message='t"wo\n')]

    Output("json").stream(iter(records), lambda record: record.message)
    several = capsys.readouterr().out
    Output("json").stream(iter(()), str)
    none = capsys.readouterr().out
    Output("yaml").stream(iter(records), lambda record: record.message)
    as_yaml = capsys.readouterr().out

    assert [item["message"] for item in json.loads(several)] == ["one", 't"wo\n']
    assert json.loads(none) == []
    assert yaml.safe_load(as_yaml) == json.loads(several)


def test_interrupted_stream_is_valid_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A list that is broken off is a valid document of what came until then."""

    def records() -> Iterator[LogRecord]:
        yield LogRecord(message="one")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Output("json").stream(records(), str)

    assert [item["message"] for item in json.loads(capsys.readouterr().out)] == ["one"]


def test_secret_values_are_masked() -> None:
    """A secret value that is handed to the sink by mistake is still not shown."""
    assert builtins({"token": SecretValue("hunter2")}) == {"token": "***"}


def test_names_that_are_not_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    """A file name that is not UTF-8 is shown escaped in every format."""
    name = b"caf\xe9".decode("utf-8", "surrogateescape")

    for format_ in ("json", "yaml", "name"):
        Output(format_).data({"path": name})

    assert capsys.readouterr().out.count("caf\\") == 3


@pytest.mark.parametrize("format_", ["json", "yaml", "table"])
def test_a_terminal_that_knows_ascii_only(monkeypatch: pytest.MonkeyPatch, format_: str) -> None:
    """Text that stdout's encoding cannot hold ends no command."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))

    output = Output(format_)
    output.record({"name": "Zoë"}, View("name", ("name",)))
    sys.stdout.flush()

    if format_ == "table":
        assert raw.getvalue() == b"NAME  Zo\\xeb\n"
    else:
        assert yaml.safe_load(raw.getvalue().decode()) == {"name": "Zoë"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("naïve 日本", "naïve 日本"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\x1b]0;title\x07b", "a\\x1b]0;title\\x07b"),
        ("red \x1b[31mword\x1b[0m", "red word"),
        ("a\rb\nc\td", "a\\rb\\nc\\td"),
        ("\u202eevil", "\\u202eevil"),
        ("\x9b31m", "\\x9b31m"),
        ("no\xa0break", "no\xa0break"),
    ],
)
def test_text_cannot_steer_the_terminal(text: str, shown: str) -> None:
    """Control characters become visible, colours are dropped."""
    assert visible(text) == shown


def test_colours_of_an_app_are_kept_where_colours_are_wanted() -> None:
    """Only what changes the colour passes, and it never lasts beyond the line."""
    assert visible("\x1b[31mred\x1b[2J", colour=True) == "\x1b[31mred\\x1b[2J\x1b[0m"


@given(st.text())
def test_nothing_passes_that_a_terminal_obeys(text: str) -> None:
    """No text at all gets a control character through."""
    assert all(
        character.isprintable() or (character.isspace() and character not in "\n\r\t\x0b\x0c\x1b")
        for character in visible(text)
        if character not in "\u200c\u200d"
    )


@pytest.mark.parametrize(
    ("value", "field", "shown"),
    [
        (None, "", "-"),
        ("", "", "-"),
        ({}, "", "-"),
        (True, "", "yes"),
        (0, "replicas", "0"),
        (1536, "size_bytes", "1.5 KiB"),
        (("a", "b"), "", "a, b"),
        ({"k": [1]}, "", '{"k":[1]}'),
        (MOMENT, "", "2026-01-31 12:00:00Z"),
    ],
)
def test_cells(value: object, field: str, shown: str) -> None:
    """A cell shows each kind of value in the shortest clear form."""
    assert cell(value, field) == shown


def test_sizes_durations_and_widths() -> None:
    """Numbers come in the unit that suits them; wide characters count twice."""
    assert [size(count) for count in (0, 1023, 1024, 1024**3, 2 * 1024**5)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.0 GiB",
        "2.0 PiB",
    ]
    assert [seconds(amount) for amount in (0.25, 59.6, 61, 3725)] == [
        "0.2 s",
        "1 min 00 s",
        "1 min 01 s",
        "1 h 02 min",
    ]
    assert (width("abc"), width("日本"), width("e\u0301")) == (3, 4, 1)
