"""The public names of the transport."""

from __future__ import annotations

import ast
from pathlib import Path

from moorage.plugin import transport


def test_lists_agree() -> None:
    """What is public, what is typed and what is loaded are the same names, sorted."""
    tree = ast.parse(Path(transport.__file__).read_text("utf-8"))
    typed = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }

    assert transport.__all__ == sorted(transport.__all__)
    assert typed == transport._HOMES
    assert set(transport._HOMES) == set(transport.__all__)
    assert set(transport.__all__) <= set(dir(transport))
    assert all(getattr(transport, name) is not None for name in transport.__all__)
