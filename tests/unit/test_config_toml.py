"""TOML documents that know the lines of their keys."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage._config._toml import SIZE_LIMIT_BYTES, TomlDocument
from moorage.errors import ConfigError

EVERY_STYLE = '''\
# a comment with = and [brackets] and "quotes"
default_profile = "a" # default_profile = "b"

[profiles.a]
provider = "x"
text = """
[profiles.fake]
key = 1 \\""" still in it
ends with two quotes"""""
raw = \'\'\'
token = "no key"
quote at the end\'\'\'\'
list = [
  "one", # ] not the end
  { deep = "}" },
]
"quoted \\"key\\"" = 1
'literal.key' = 2
dotted . "key" . path = 3
after = 1979-05-27T07:32:00Z

[ profiles . "b" ] # spaced
inline = { env = "X", more = { x = [1, 2] } }
[profiles.a.capabilities]
jobs.cancel = false

[[array]]
one = 1
[[array]]
one = 2
'''


def lines_of(text: str) -> TomlDocument:
    return TomlDocument(text.encode(), "config.toml")


class TestLines:
    @pytest.mark.parametrize("line_end", ["\n", "\r\n"])
    @pytest.mark.parametrize(
        ("keys", "line"),
        [
            (("default_profile",), 2),
            (("profiles",), 4),
            (("profiles", "a"), 4),
            (("profiles", "a", "provider"), 5),
            (("profiles", "a", "text"), 6),
            (("profiles", "a", "raw"), 10),
            (("profiles", "a", "list"), 13),
            (("profiles", "a", 'quoted "key"'), 17),
            (("profiles", "a", "literal.key"), 18),
            (("profiles", "a", "dotted", "key", "path"), 19),
            (("profiles", "a", "dotted"), 19),
            (("profiles", "a", "after"), 20),
            (("profiles", "b"), 22),
            (("profiles", "b", "inline"), 23),
            (("profiles", "b", "inline", "env"), 23),
            (("profiles", "a", "capabilities", "jobs", "cancel"), 25),
            (("array",), 27),
        ],
    )
    def test_of_every_style(self, line_end: str, keys: tuple[str, ...], line: int) -> None:
        """Each key is found on its line, whatever stands around it."""
        document = lines_of(EVERY_STYLE.replace("\n", line_end))

        assert document.line(keys) == line

    def test_of_a_key_that_is_not_there(self) -> None:
        """A key that is not there has the line of the table that would hold it, or none."""
        document = lines_of("x = 1\n[profiles.a]\ny = 2\n")

        assert document.line(("profiles", "a", "z")) == 2
        assert document.line(("profiles", "b")) == 2
        assert document.line(("other",)) is None

    @given(
        st.lists(
            st.tuples(
                st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=5),
                st.sampled_from(
                    ['"x"', "'y#'", "[\n1,\n2 # ]\n]", '"""\na = 1\n"""', "{ a = '}' }", "3.5"]
                ),
            ),
            unique_by=lambda pair: pair[0],
            max_size=8,
        )
    )
    def test_of_any_keys(self, pairs: list[tuple[str, str]]) -> None:
        """Whatever the keys and values are, each key is found where it was written."""
        written: list[str] = []
        expected: dict[str, int] = {}
        for key, value in pairs:
            expected[key] = "".join(written).count("\n") + 1
            written.append(f"{_quoted(key)} = {value} # note\n\n")
        document = lines_of("".join(written))

        assert {key: document.line((key,)) for key in document.table} == expected


class TestRefusal:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"a = 1\nb = \n", "config.toml:2:5: not valid TOML: invalid value"),
            (b"a = 1\na = 2\n", "config.toml:2:6: not valid TOML: cannot overwrite a value"),
            (b"a = [1,", "config.toml:1: not valid TOML: "),
            (b"a = [1,\n\n", "not valid TOML: invalid value at the end of the file"),
            (b"[a", "config.toml:1: not valid TOML: expected ']'"),
            (b"\xef\xbb\xbfa = 1", "config.toml:1: the file begins with a byte order mark"),
            ("a = 1".encode("utf-16"), "config.toml is UTF-16"),
            (b"a = 1\nb = '\xe9'\n", r"config.toml:2: byte 11 (0xe9) is not UTF-8"),
            (b"a = 1\n\nb = '\0'\n", "config.toml:3: there is a NUL byte"),
            (b"a = " + b"9" * 5000, "config.toml: not valid TOML: "),
            (b"a = 2020-13-01", "config.toml:1:9: not valid TOML: "),
            (b"a = " + b"[" * 100_000, "config.toml: not valid TOML: nested too deeply"),
            (b"#" * (SIZE_LIMIT_BYTES + 1), "config.toml has 1048577 bytes"),
        ],
    )
    def test_of_what_is_not_toml(self, content: bytes, message: str) -> None:
        """What is not TOML is refused with its place and a hint."""
        with pytest.raises(ConfigError, match=re.escape(message)) as caught:
            TomlDocument(content, "config.toml")

        assert caught.value.hint

    @pytest.mark.parametrize("content", [b"token = 'hunter22\n", b"token = hunter22", b"hunter22"])
    def test_shows_no_content(self, content: bytes) -> None:
        """The error, its cause and its context quote nothing of the file."""
        with pytest.raises(ConfigError) as caught:
            TomlDocument(content, "config.toml")

        assert "hunter22" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__

    @given(
        st.binary(max_size=200)
        | st.text(max_size=60).map(str.encode)
        | st.from_regex(
            re.compile(r"([a-c.\"'= \[\]{}\n#,\\0-9:+e-]{0,6}(\"\"\"|'''|= |\[|\]|\n)){0,12}"),
            fullmatch=True,
        ).map(str.encode)
    )
    def test_of_random_bytes(self, content: bytes) -> None:
        """Any bytes either parse as the standard library parses them or are a ConfigError."""
        try:
            document = TomlDocument(content, "config.toml")
        except ConfigError:
            return

        assert document.table == tomllib.loads(content.decode())
        for keys in _paths(document.table):
            assert document.line(keys) is not None


def _paths(table: dict[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    paths = []
    for key, value in table.items():
        paths.append((*prefix, key))
        if isinstance(value, dict):
            paths += _paths(value, (*prefix, key))
    return paths


def _quoted(key: str) -> str:
    escaped = "".join(
        f"\\u{ord(c):04X}" if ord(c) < 32 or ord(c) == 127 or c in '"\\' else c for c in key
    )
    return f'"{escaped}"'
