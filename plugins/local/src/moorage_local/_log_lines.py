"""Cutting what a program writes into the messages of log records."""

import re
from collections.abc import Iterable

from ._log_files import MESSAGE_BYTES

_MASK = b"***"
_SHORTEST_SECRET = 4  # masking shorter ones would mask everything


class LineBuffer:
    """Makes lines out of one stream's bytes, with secret values masked.

    It holds one line that is not finished, and of a line without an end no more than a record has.
    """

    def __init__(self, secrets: Iterable[str] = (), *, limit: int = MESSAGE_BYTES) -> None:
        """Begin with nothing.

        Args:
            secrets: Values that a program may print by mistake; they become `***`.
            limit: Bytes at which a line is cut into several messages.
        """
        words = _words(secrets)
        self._secrets = re.compile(b"|".join(map(re.escape, words))) if words else None
        self._limit = limit
        # A value that begins before the cut must be seen whole, or it would not be known.
        self._cut_from = limit + max(map(len, words), default=0)
        self._rest = b""

    def __bool__(self) -> bool:
        """Whether a line waits for its end."""
        return bool(self._rest)

    def feed(self, data: bytes) -> tuple[list[str], list[int]]:
        """Take bytes in, and return the messages that are complete.

        Returns:
            The messages, and the indices of those whose line goes on in the next one.
        """
        data = self._rest + data
        end = data.rfind(b"\n") + 1
        lines, self._rest = data[:end], data[end:]
        messages: list[str] = []
        continued: list[int] = []
        if lines:
            lines = self._masked(lines)
            messages = _text(lines).split("\n")
            messages.pop()
            if b"\r\n" in lines:
                messages = [message.removesuffix("\r") for message in messages]
            if max(map(len, messages)) > self._limit:
                messages, continued = self._cut(lines)
        if len(self._rest) > self._cut_from:
            rest = self._masked(self._rest)
            while len(rest) > self._cut_from:
                piece, rest = _split(rest, self._limit)
                continued.append(len(messages))
                messages.append(_text(piece))
            self._rest = rest
        return messages, continued

    def flush(self) -> str:
        """Return what there is of a line that has no end yet."""
        rest, self._rest = self._rest, b""
        return _text(self._masked(rest)).removesuffix("\r")

    def clean(self, text: str) -> str:
        """Return a text with the secret values masked."""
        return _text(self._masked(text.encode("utf-8", "surrogatepass")))

    def _cut(self, lines: bytes) -> tuple[list[str], list[int]]:
        messages: list[str] = []
        continued: list[int] = []
        for line in lines.split(b"\n")[:-1]:
            rest = line.removesuffix(b"\r")
            while len(rest) > self._limit:
                piece, rest = _split(rest, self._limit)
                continued.append(len(messages))
                messages.append(_text(piece))
            messages.append(_text(rest))
        return messages, continued

    def _masked(self, data: bytes) -> bytes:
        return self._secrets.sub(_MASK, data) if self._secrets else data


def _words(secrets: Iterable[str]) -> list[bytes]:
    # A value of several lines is printed as several records, so that each line counts by itself.
    lines = {line for value in secrets for line in value.encode("utf-8", "replace").splitlines()}
    # The longest first, so that a value that contains another leaves no rest behind.
    return sorted((line for line in lines if len(line) >= _SHORTEST_SECRET), key=len, reverse=True)


def _split(data: bytes, at: int) -> tuple[bytes, bytes]:
    """Split bytes, if they are UTF-8 between two characters."""
    for position in range(at, max(at - 4, 0), -1):
        if data[position] & 0xC0 != 0x80:  # not the middle of a character
            return data[:position], data[position:]
    return data[:at], data[at:]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
