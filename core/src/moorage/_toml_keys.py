"""Where the keys of a TOML document are, which the standard library's parser does not tell."""

import bisect
import re

KeyPath = tuple[str | int, ...]
"""Keys and indexes from the top of a document: `("jobs", "score", "handler")`."""


def line_of(text: str, path: KeyPath) -> int:
    """Return the line, counted from 1, of a key in a valid document.

    Where the path leads to no key of its own, that of the nearest one around it is given; of a
    table that several lines add to, the first.
    """
    lines = key_lines(text)
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, counted from 1, that each key and element of a valid document is on."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


# What stands between two tokens of a document: comments reach to the end of their line.
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_LITERAL = re.compile(r"'([^'\n]*)'")
# A string that spans lines may end in one or two quotes of its own before the closing three.
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}|'
    r"'''(?:[^']|'{1,2}(?!'))*'{3,5}|"
    rf"{_BASIC.pattern}|{_LITERAL.pattern}",
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}\n#]*")  # a number, a date, a truth value


class _Scanner:
    """Walks a document that the real parser has accepted, so that it need not doubt anything."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._line_ends = [match.start() for match in re.finditer("\n", text)]
        self._elements: dict[KeyPath, int] = {}  # how many each array of tables has so far

    def document(self) -> None:
        table: KeyPath = ()
        self._skip(_SPACE)
        while self._at < len(self._text):
            if self._take("["):
                is_element = self._take("[")
                table = self._header(is_element=is_element)
            else:
                self._pair(table)
            self._skip(_SPACE)

    def _header(self, *, is_element: bool) -> KeyPath:
        line = self._line()
        *parents, last = self._keys()
        self._take("]]" if is_element else "]")
        path: KeyPath = ()
        for key in parents:
            path = self._enter(path, key, line)
        if not is_element:
            return self._enter(path, last, line)
        array = (*path, last)
        index = self._elements.get(array, 0)
        self._elements[array] = index + 1
        self._note(array, line)
        self._note((*array, index), line)
        return (*array, index)

    def _enter(self, path: KeyPath, key: str, line: int) -> KeyPath:
        inside = (*path, key)
        self._note(inside, line)
        # A header that goes through an array of tables means its last element.
        return (*inside, self._elements[inside] - 1) if inside in self._elements else inside

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path, line)
        self._skip(_BLANK)
        self._take("=")
        self._skip(_BLANK)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._take("["):
            index = 0
            self._skip(_SPACE)
            while not self._take("]"):
                self._note((*path, index), self._line())
                self._value((*path, index))
                self._separator()
                index += 1
        elif self._take("{"):
            self._skip(_SPACE)
            while not self._take("}"):
                self._pair(path)
                self._separator()
        elif not self._skip(_STRING):
            self._skip(_PLAIN)

    def _separator(self) -> None:
        self._skip(_SPACE)
        self._take(",")
        self._skip(_SPACE)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_BLANK)
            keys.append(self._key())
            self._skip(_BLANK)
            if not self._take("."):
                return keys

    def _key(self) -> str:
        for pattern in (_BARE_KEY, _LITERAL, _BASIC):
            if match := pattern.match(self._text, self._at):
                self._at = match.end()
                return _unescaped(match[1]) if pattern is _BASIC else match[pattern.groups]
        raise ValueError(f"no key at character {self._at}")

    def _note(self, path: KeyPath, line: int) -> None:
        self.lines.setdefault(path, line)

    def _line(self) -> int:
        return bisect.bisect_left(self._line_ends, self._at) + 1

    def _take(self, expected: str) -> bool:
        found = self._text.startswith(expected, self._at)
        self._at += len(expected) * found
        return found

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self._text, self._at)
        if match is None:
            return False
        self._at = match.end()
        return True


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    import tomllib

    return str(tomllib.loads(f'key = "{text}"')["key"])
