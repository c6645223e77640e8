"""The public names that are loaded when they are first used."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from moorage import plugin
from moorage.plugin import transport


@pytest.mark.parametrize("module", [transport, plugin], ids=["transport", "plugin"])
def test_lists_agree(module: Any) -> None:
    """What is public, what is typed and what is loaded are the same names, sorted."""
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    typed = {
        alias.name: "." * node.level + (node.module or "")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }

    assert module.__all__ == sorted(module.__all__)
    assert typed == module._HOMES
    assert set(module._HOMES) == set(module.__all__)
    assert set(module.__all__) <= set(dir(module))
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match="misspelt"):
        module.misspelt  # noqa: B018  # looking it up is the test
