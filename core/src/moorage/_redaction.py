"""Secret values, and keeping them out of everything that a person or a program reads."""

import functools
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

MASK = "***"


class SecretValue:
    """A value that must not be seen: its text is `***` wherever it is printed.

    It neither pickles nor becomes JSON; `reveal` is the one way to the text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            msg = f"a secret value is text, not {type(text).__name__}"
            raise TypeError(msg)
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return f"SecretValue({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretValue):
            return NotImplemented
        import hmac  # it loads OpenSSL, and few programs compare secrets

        # A lone surrogate cannot be encoded strictly, and a variable can hold one.
        mine, theirs = (value.reveal().encode("utf-8", "surrogatepass") for value in (self, other))
        return hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash((SecretValue, self._text))

    def __reduce__(self) -> NoReturn:
        msg = "a secret value is never pickled or copied into a file"
        raise TypeError(msg)

    def __copy__(self) -> "SecretValue":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "SecretValue":
        return self


class Redactor:
    """Replaces registered values, patterns and URL credentials in text by `***`."""

    def __init__(self, patterns: Iterable[re.Pattern[str]] = ()) -> None:
        self._values: set[str] = set()
        self._patterns = list(patterns)

    def add(self, value: SecretValue | str) -> None:
        """Mask this value from now on, also where it is written with escapes.

        One that is shorter than four characters is left alone: it would mask everything.
        """
        text = value.reveal() if isinstance(value, SecretValue) else value
        if len(text) >= 4:  # the docstring says why
            self._values.update(_written_forms(text))

    def add_pattern(self, pattern: re.Pattern[str]) -> None:
        """Mask every match of this pattern from now on."""
        self._patterns.append(pattern)

    def clean(self, text: str) -> str:
        """Return the text with every known secret masked."""
        # The longest first, so that a value that contains another leaves no rest behind.
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK)
        for pattern in self._patterns:
            text = pattern.sub(MASK, text)
        return clean_url(text)


def _written_forms(text: str) -> Iterator[str]:
    """Yield a value as it is, and as messages, JSON and URLs write it."""
    yield text
    if text.isalnum() and text.isascii():
        return
    import json
    from urllib.parse import quote, quote_plus

    yield repr(text)[1:-1]
    yield ascii(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield json.dumps(text)[1:-1]
    yield quote(text, safe="", errors="surrogatepass")
    yield quote_plus(text, errors="surrogatepass")


def clean_url(text: str) -> str:
    """Mask user names, passwords and signatures in every URL of a text."""
    userinfo, secrets = _url_patterns()
    return secrets.sub(rf"\1{MASK}", userinfo.sub(rf"\1{MASK}@", text))


@functools.cache  # compiled when first needed, since it takes as long as loading ten modules
def _url_patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what finds user names with passwords, and what finds signatures, in URLs."""
    # Up to the last @, since a password that was not quoted may hold one.
    userinfo = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s?#]*@")
    # Parameters that carry a signature or a credential in the URLs that clouds hand out.
    secrets = re.compile(
        r"(?i)([?&#;](?:[a-z0-9_-]*(?:signature|credential|token|secret|password|api[_-]?key)"
        r"[a-z0-9_-]*|sig|se|sp|sv|key|auth|awsaccesskeyid|googleaccessid|x-amz-[a-z-]+"
        r"|x-goog-[a-z-]+)=)[^&#\s\"'<>;]+"
    )
    return userinfo, secrets
