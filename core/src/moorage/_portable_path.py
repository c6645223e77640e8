"""Relative paths that mean the same file on every system."""

import unicodedata

from ._shown import shown

MAX_PATH_BYTES = 1024
MAX_PART_BYTES = 255


def flaw_of(path: str) -> str | None:
    """Say why a path cannot be that of a file in an artifact; `None` where it can.

    It is relative, uses `/` between its parts, and has no part that a file system or a shell
    somewhere would read as anything but a name.
    """
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    if not path:
        return "is empty"
    if path.startswith("/"):
        return "is absolute"
    if size > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    if "\\" in path:
        return "has a backslash, which separates directories on some systems"
    if not path.isprintable():
        # Unassigned characters and spaces of other scripts are unprintable too, and harmless.
        for character in path:
            if unicodedata.category(character) in {"Cc", "Zl", "Zp"}:
                return f"has the control character U+{ord(character):04X}"
    for part in path.split("/"):
        if part in {"", ".", ".."}:
            return f"has {part!r} between its slashes" if part else "has an empty part"
        if len(part.encode()) > MAX_PART_BYTES:
            return f"has a name longer than {MAX_PART_BYTES} bytes"
    return None


class PathSet:
    """Paths that can lie beside each other in one directory on every system."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._directories: set[str] = set()
        self._folded: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._files)

    def is_file(self, path: str) -> bool:
        """Whether it is one of the files."""
        return path in self._files

    def is_directory(self, path: str) -> bool:
        """Whether it is one of the directories; the top one is `""`."""
        return not path or path in self._directories

    def add_file(self, path: str) -> str | None:
        """Add a file and the directories that it lies in, or say why it cannot be there."""
        if path in self._files:
            return "is there twice"
        flaw = self.add_directory(path.rpartition("/")[0]) or self._claim(path)
        if flaw is None:
            self._files.add(path)
        return flaw

    def add_directory(self, path: str) -> str | None:
        """Add a directory, again or for the first time, or say why it cannot be there."""
        if self.is_directory(path):
            return None
        flaw = self.add_directory(path.rpartition("/")[0]) or self._claim(path)
        if flaw is None:
            self._directories.add(path)
        return flaw

    def _claim(self, path: str) -> str | None:
        # Each parent is claimed already, so that only the last part can be new.
        key = _folded(path)
        other = self._folded.setdefault(key, path)
        if other != path:
            how = "only in case or in how its characters are composed"
            return f"differs from {shown(other)} {how}"
        if path in self._files or path in self._directories:
            return "is a file and a directory"
        return None


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())
