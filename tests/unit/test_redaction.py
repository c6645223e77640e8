"""Secret values, and keeping them out of sight."""

import copy
import json
import pickle
import re
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import SecretValue
from moorage._redaction import Redactor, clean_url


@given(st.text(min_size=4, alphabet=st.characters(exclude_characters="*'", categories=("L", "N"))))
def test_secret_values_are_not_seen(text: str) -> None:
    """No ordinary way of turning a secret into text shows it."""
    secret = SecretValue(text)

    shown = f"{secret} {secret!r} {secret!s:>9} {[secret]} { ({'k': secret}) }"

    assert text not in shown.replace("SecretValue", "")
    assert secret.reveal() == text
    assert secret == SecretValue(text)
    assert copy.deepcopy(secret) is secret


def test_secret_values_are_not_stored() -> None:
    """A secret neither pickles nor becomes JSON by itself."""
    secret = SecretValue("hunter2")

    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)


def test_secret_values_are_text() -> None:
    """Anything but text is refused, without being shown."""
    with pytest.raises(TypeError) as caught:
        SecretValue(b"hunter2")  # type: ignore[arg-type]  # wrong on purpose

    assert "hunter2" not in str(caught.value)


def test_redactor_masks_the_longest_first() -> None:
    """A secret that contains another leaves nothing of itself behind."""
    redactor = Redactor()
    redactor.add(SecretValue("hunter2"))
    redactor.add("hunter2-and-more")

    assert redactor.clean("a hunter2-and-more b hunter2") == "a *** b ***"


@pytest.mark.parametrize("secret", ["line one\nline two", "a\"b\\c'd", "p@ss/w?rd %", "schlüssel"])
def test_redactor_masks_escaped_values(secret: str) -> None:
    """A secret is masked as messages, JSON and URLs write it, too."""
    redactor = Redactor()
    redactor.add(secret)
    written = [
        repr(KeyError(secret)),
        ascii(secret),
        json.dumps({"k": secret}),
        msgspec.json.encode({"k": secret}).decode(),
        f"https://h/{quote(secret, safe='')}?a={quote_plus(secret)}",
    ]

    cleaned = [redactor.clean(text) for text in written]

    assert cleaned == [
        "KeyError('***')",
        "'***'",
        '{"k": "***"}',
        '{"k":"***"}',
        "https://h/***?a=***",
    ]


def test_secrets_of_any_text_can_be_compared() -> None:
    """A value that is not UTF-8, as a variable can hold one, equals itself and no other."""
    assert SecretValue("\udcff") == SecretValue("\udcff")
    assert SecretValue("\udcff") != SecretValue("x")


def test_redactor_uses_patterns() -> None:
    """What a plugin's pattern matches is masked."""
    redactor = Redactor([re.compile(r"tok_\w+")])

    assert redactor.clean("x tok_123 y") == "x *** y"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://u:p@host/x", "https://***@host/x"),
        ("https://token@host/", "https://***@host/"),
        ("https://u:p@ss@host/x", "https://***@host/x"),
        ("https://h/x?X-Amz-Signature=abc&n=1", "https://h/x?X-Amz-Signature=***&n=1"),
        ("https://h/x?n=1&sig=a%2Fb", "https://h/x?n=1&sig=***"),
        ("https://h/x?access_token=a#y", "https://h/x?access_token=***#y"),
        ("https://h/x?api_key=a", "https://h/x?api_key=***"),
        ("https://h/x?design=a&signal=b", "https://h/x?design=a&signal=b"),
        ("https://h/x@y", "https://h/x@y"),
    ],
)
def test_urls_lose_their_credentials(text: str, clean: str) -> None:
    """Signatures, tokens and passwords in URLs are masked, and nothing else is."""
    assert clean_url(text) == clean
    assert clean_url(f'Get "{text}" failed') == f'Get "{clean}" failed'
