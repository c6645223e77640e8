"""The lines of keys, held against documents that are written line by line."""

import json
import tomllib
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from moorage._toml_keys import KeyPath, key_lines, line_of

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("\"'#[]{}=,.\\")
)
# Three quotes in a row would end the string, and a quote at its end would lengthen the mark.
PLAIN_TEXT = TEXT.filter(lambda text: "'" not in text)


def basic(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


@st.composite
def keys(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a key and one way to write it."""
    key = draw(st.text("ab1-_", min_size=1, max_size=3) | TEXT)
    styles = [basic(key)]
    if "'" not in key:
        styles.append(f"'{key}'")
    if key and key.isascii() and all(c.isalnum() or c in "-_" for c in key):
        styles.append(key)
    return key, draw(st.sampled_from(styles))


SCALARS = st.one_of(
    st.integers(-99, 99).map(str),
    st.sampled_from(["true", "1.5e3", "inf", "1979-05-27 07:32:00", "07:32:00", "0xFF"]),
    TEXT.map(basic),
    PLAIN_TEXT.map(lambda text: f"'{text}'"),
    st.lists(TEXT, max_size=3).map(
        lambda lines: '"""' + "\n".join(basic(line)[1:-1] for line in lines) + '"""'
    ),
    st.lists(PLAIN_TEXT, max_size=3).map(lambda lines: "'''" + "\n".join(lines) + "'''"),
    st.sampled_from(['"""a"""""', "'''a\n''''", '"""\\\n  [x]\n"" " """', '""', "''", '""""""']),
)
COMMENTS = st.sampled_from(["", "", " # [c] = '", "\t#", '#"""'])


class Document:
    """A document and the lines of what it says, as they were when they were written."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[KeyPath, int] = {}

    def write(self, text: str) -> None:
        self.text += text

    def note(self, path: KeyPath) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def end_line(self) -> None:
        ending = self.draw(st.sampled_from(["\n", "\n", "\r\n", "\n\n  \n"]))
        self.write(self.draw(COMMENTS) + ending)

    def pair(self, table: KeyPath, depth: int) -> None:
        path = table
        for number in range(self.draw(st.integers(1, 2))):
            if number:
                self.write(self.draw(st.sampled_from([".", " . "])))
            key, written = self.draw(keys())
            path = (*path, key)
            self.note(path)
            self.write(written)
        self.write(self.draw(st.sampled_from(["=", " = ", "\t=  "])))
        self.value(path, depth)

    def value(self, path: KeyPath, depth: int) -> None:
        shape = self.draw(st.sampled_from(["scalar", "scalar", "array", "table"]))
        if shape == "scalar" or not depth:
            self.write(self.draw(SCALARS))
        elif shape == "array":
            self.write("[")
            for index in range(self.draw(st.integers(0, 3))):
                if self.draw(st.booleans()):
                    self.end_line()
                self.note((*path, index))
                self.value((*path, index), depth - 1)
                self.write(self.draw(st.sampled_from([",", " , "])))
            if self.draw(st.booleans()):
                self.end_line()
            self.write("]")
        else:
            self.write("{")
            for number in range(self.draw(st.integers(0, 2))):
                self.write(", " if number else " ")
                self.pair(path, depth - 1)
            self.write(" }")

    def table(self, elements: dict[KeyPath, int]) -> None:
        path: KeyPath = ()
        names = self.draw(st.lists(st.sampled_from(["t", "u", "v w"]), min_size=1, max_size=2))
        is_element = self.draw(st.booleans())
        self.write("[[" if is_element else "[ ")
        for number, name in enumerate(names):
            self.write("." if number else "")
            path = (*path, name)
            self.note(path)
            if is_element and number == len(names) - 1:
                elements[path] = elements.get(path, 0) + 1
            if path in elements:
                path = (*path, elements[path] - 1)
                self.note(path)
            self.write(basic(name) if " " in name or self.draw(st.booleans()) else name)
        self.write("]]" if is_element else " ]")
        self.end_line()
        self.pairs(path)

    def pairs(self, table: KeyPath) -> None:
        for _ in range(self.draw(st.integers(0, 3))):
            if self.draw(st.integers(0, 4)) == 0:
                self.end_line()
            self.pair(table, 2)
            self.end_line()


@st.composite
def documents(draw: st.DrawFn) -> Document:
    document = Document(draw)
    document.pairs(())
    elements: dict[KeyPath, int] = {}
    for _ in range(draw(st.integers(0, 3))):
        document.table(elements)
    return document


def paths_of(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    else:
        return set()
    return {(*path, key) for key, _ in parts}.union(
        *(paths_of(inside, (*path, key)) for key, inside in parts)
    )


def parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # a key or a table was drawn twice
        return None


@given(documents())
def test_lines(document: Document) -> None:
    """Every key and element of a document is found, on the line that it was written on."""
    value = parsed(document.text)
    assume(value is not None)

    found = key_lines(document.text)

    assert found.keys() == paths_of(value)
    assert found == document.lines


@given(documents(), st.text(st.sampled_from("ab=.[]{}\"'#,\n\\ 1"), max_size=4), st.integers(0))
@example(Document(lambda _: None), "", 0)  # type: ignore[arg-type]  # draws nothing
def test_any_valid_document(document: Document, inserted: str, where: int) -> None:
    """A document that was damaged and is valid still has the keys that the parser sees."""
    at = where % (len(document.text) + 1)
    text = document.text[:at] + inserted + document.text[at:]
    value = parsed(text)
    assume(value is not None)

    assert key_lines(text).keys() == paths_of(value)


def test_nearest_line() -> None:
    """A path that is not in the document has the line of what it would lie in."""
    text = '# an app\n\n[artifact]\nname = "a"\n[jobs.score]\n'

    lines = [
        line_of(text, path)
        for path in [("artifact", "name"), ("artifact", "kind"), ("jobs", "score", "x"), ("x",)]
    ]

    assert lines == [4, 3, 5, 1]
