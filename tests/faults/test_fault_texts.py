"""Faults as the command line and JSON write them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.errors import InvalidRequestError
from moorage_conformance import faults
from moorage_conformance.faults import (
    Answer,
    AnyFault,
    CloseWebSocket,
    Cut,
    Fault,
    Reset,
    Truncate,
    parse_fault,
)
from moorage_conformance.faults._fault import KINDS


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("reset", Reset()),
        (
            "reset when=reply method=POST path=/v1/*",
            Reset(when="reply", method="POST", path="/v1/*"),
        ),
        (
            "answer status=503 retry_after=2 times=none",
            Answer(status=503, retry_after=2, times=None),
        ),
        (
            "answer status=429 retry_after=2026-01-31T12:00:00Z body='slow down'",
            Answer(status=429, retry_after=datetime(2026, 1, 31, 12, tzinfo=UTC), body="slow down"),
        ),
        ("cut after_bytes=0 end=reset nth=3", Cut(after_bytes=0, end="reset", nth=3)),
        ("truncate after_bytes=9 lie=true", Truncate(after_bytes=9, lie=True)),
        ("close-websocket code=1011 reason=a=b", CloseWebSocket(code=1011, reason="a=b")),
    ],
)
def test_texts(text: str, fault: Fault) -> None:
    """A text is a kind and its fields."""
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is not a fault"),
        ("cut 'open", "is not a fault"),
        ("anser status=500", "there is no fault 'anser'; did you mean 'answer'?"),
        ("answer stauts=500", "a fault 'answer' has no 'stauts'; did you mean 'status'?"),
        ("answer", "missing required field `status`"),
        ("answer 500", "'500' is not KEY=VALUE"),
        ("answer status=500 status=501", "'status' is there twice"),
        ("answer status=99", ">= 200"),
        ("answer status=x", "Expected `int`"),
        ("answer status=500 headers=x", "headers cannot be given in a text"),
        ("answer status=500 retry_after=2026-01-31T12:00:00", "time zone"),
        ("reset when=never", "Invalid enum value 'never'"),
        ("delay seconds=-1", ">= 0"),
    ],
)
def test_bad_texts(text: str, said: str) -> None:
    """What is wrong with a text is said, with what was meant."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_fault(text)

    assert said in str(caught.value)


@given(st.text(max_size=40) | st.sampled_from(list(KINDS)).flatmap(lambda k: st.just(k + " ")))
def test_any_text(text: str) -> None:
    """No text crashes the reading."""
    try:
        assert isinstance(parse_fault(text), Fault)
    except InvalidRequestError as error:
        assert "\n" not in str(error)


def test_every_fault_is_public_and_goes_through_json() -> None:
    """Each fault has its name in the package, its documentation, and comes back from JSON."""
    for name, kind in KINDS.items():
        values = {
            field.name: 200 if field.name == "status" else 1
            for field in msgspec.structs.fields(kind)
            if field.required
        }
        fault = kind(**values)

        assert getattr(faults, kind.__name__) is kind
        assert kind.__doc__
        assert msgspec.to_builtins(fault)["fault"] == name
        assert msgspec.json.decode(msgspec.json.encode([fault]), type=list[AnyFault]) == [fault]


def test_public_names() -> None:
    """The package lists its names in order, and has them all."""
    assert faults.__all__ == sorted(faults.__all__)
    assert all(hasattr(faults, name) for name in faults.__all__)


def test_page_has_every_fault() -> None:
    """The documentation has each fault with each of its own fields."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "inject-faults.md"
    rows = {
        row.split("`")[1]: row for row in page.read_text("utf-8").splitlines() if row[:3] == "| `"
    }

    for name, kind in KINDS.items():
        own = set(kind.__struct_fields__) - set(Fault.__struct_fields__)
        assert [field for field in own if f"`{field}`" not in rows[name]] == []
