"""Values in messages."""

from hypothesis import given
from hypothesis import strategies as st

from moorage._shown import shown


@given(st.one_of(st.text(), st.binary(), st.integers(), st.lists(st.text()), st.none()))
def test_anything_fits_into_a_message(value: object) -> None:
    """What is shown is one printable line of bounded length."""
    text = shown(value)

    assert text.isprintable()
    assert len(text) < 260


def test_both_ends_of_what_is_long_are_shown() -> None:
    """A long value is cut in the middle, and letters of any script are left as they are."""
    assert shown("schlüssel/日本.csv") == "'schlüssel/日本.csv'"
    text = shown("/begin/" + "x" * 5000 + "/end.csv")

    assert text.startswith("'/begin/x")
    assert text.endswith("x/end.csv' (5015 characters)")
