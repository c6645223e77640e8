"""YAML that every reader reads back."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from moorage._cli._yaml import dump

TEXT = st.text(st.characters(codec="utf-8"))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)


@given(VALUES)
@example({"a": [], "b": {}, "c": [[]], "d": [{}]})
@example([{"a": [{"b": [1, {"c": "x\ny"}]}]}])
@example({"y" * 5000: 1, "k" * 200: {"z": [1]}})
@example("\x00\x07\x1b\x85\xa0\u2028\u2029\ufeff\ufffe\U0001f600")
@example({"": "", " ": " ", "- x": "# no comment", "a: b": "c: d"})
def test_round_trip(value: Any) -> None:
    """Whatever JSON can hold is read back as it was."""
    assert yaml.safe_load("\n".join(dump(value))) == value


@pytest.mark.parametrize(
    "word",
    [
        "y",
        "n",
        "yes",
        "NO",
        "on",
        "Off",
        "true",
        "FALSE",
        "null",
        "~",
        "None",
        ".inf",
        ".nan",
        "nan",
        "1",
        "1.5",
        "1e3",
        "0x1f",
        "0o7",
        "1_000",
        "2026-01-31",
        "12:30:45",
        "=",
        "<<",
        "-",
        "?",
        ":",
        ",",
        "[",
        "]",
        "{",
        "}",
        "#",
        "&",
        "*",
        "!",
        "|",
        ">",
        "'",
        '"',
        "%",
        "@",
        "`",
    ],
)
def test_text_that_looks_like_something_else_stays_text(word: str) -> None:
    """A text that a reader could take for a number, a date or a sign is quoted."""
    assert yaml.safe_load("\n".join(dump([word, {word: word}]))) == [word, {word: word}]


def test_numbers_that_are_none() -> None:
    """Infinities and not-a-number keep their meaning."""
    high, low, none = yaml.safe_load("\n".join(dump([math.inf, -math.inf, math.nan])))

    assert (high, low, math.isnan(none)) == (math.inf, -math.inf, True)


def test_plain_words_are_not_quoted() -> None:
    """What needs no quotes is easy to read."""
    assert list(dump({"name": "iris", "rows": [1, True, None]})) == [
        "name: iris",
        "rows:",
        "  - 1",
        "  - true",
        "  - null",
    ]
