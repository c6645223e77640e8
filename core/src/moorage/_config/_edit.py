"""Changes of a TOML document that keep everything else as it is written."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import ConfigError

if TYPE_CHECKING:
    import tomlkit
    from tomlkit.container import Container
    from tomlkit.items import Table


class Edit(msgspec.Struct, frozen=True):
    """One change."""

    keys: tuple[str, ...]
    """The path of the key."""

    value: Any = None
    """Its new value, in the types that TOML has."""

    removes: bool = False
    """Whether the key goes away."""


def apply_edit(table: dict[str, Any], edit: Edit) -> None:
    """Make an edit in plain values."""
    *path, last = edit.keys
    for key in path:
        table = table.setdefault(key, {})
    if edit.removes:
        del table[last]
    else:
        table[last] = edit.value


def edit_text(text: str, edits: Sequence[Edit]) -> str:
    """Make edits in a document, keeping all else as it is written.

    The result is to be compared with what `apply_edit` gives, for some styles cannot be edited
    without changing more.

    Raises:
        ConfigError: It is written in a style that cannot be edited.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    if text and not text.endswith("\n"):
        text += "\n"
    try:
        document = tomlkit.parse(text)
        for edit in edits:
            _edit(document, edit)
        edited = document.as_string()
    except (TOMLKitError, ValueError, TypeError, KeyError, AttributeError, IndexError) as exc:
        # The checks before have accepted the file, so that only its style can be the reason.
        raise uneditable(edits) from exc
    if edited.endswith("\n\n") and not text.endswith("\n\n"):
        edited = edited.rstrip("\n") + "\n"
    return edited


def uneditable(edits: Sequence[Edit]) -> ConfigError:
    """Return the error for a document whose style cannot be edited."""
    return ConfigError(
        "the file is written in a way that cannot be changed without changing more",
        hint=f"edit {'.'.join(edits[0].keys)} by hand",
    )


def _edit(document: "tomlkit.TOMLDocument", edit: Edit) -> None:
    import tomlkit
    from tomlkit.items import InlineTable

    container: Any = document
    *path, last = edit.keys
    for depth, key in enumerate(path):
        if key not in container:
            # `[profiles]` itself is not written, `[profiles.NAME]` is.
            container[key] = (
                tomlkit.inline_table()
                if isinstance(container, InlineTable)
                else tomlkit.table(is_super_table=depth == 0)
            )
        container = container[key]
    if edit.removes:
        del container[last]
    elif isinstance(edit.value, dict) and len(edit.keys) == 2:
        if isinstance(container, InlineTable):
            container[last] = _item(edit.value)
        else:
            table = tomlkit.table()
            for key, value in edit.value.items():
                table.append(key, _item(value))
            table.add(tomlkit.nl())
            container[last] = table
    elif last not in container and (written := _written_table(document, path)) is not None:
        _append(written, last, _item(edit.value))
    else:
        container[last] = _item(edit.value)


def _written_table(container: "Container", path: Sequence[str]) -> "Table | None":
    """Return the part of a document under the header `[path]`.

    Other parts of the same table may stand elsewhere, under headers of tables within it.
    """
    from tomlkit.items import Table

    if not path:
        return None
    name, *rest = path
    for key, item in container.body:
        if key is None or key.key != name or not isinstance(item, Table):
            continue
        if not rest and not item.is_super_table():
            return item
        if rest and (found := _written_table(item.value, rest)) is not None:
            return found
    return None


def _append(table: "Table", key: str, item: Any) -> None:
    """Add a key after the last one, before the blank lines and comments that end a table.

    These belong to what follows as often as not.
    """
    body = table.value.body
    rest: list[Any] = []
    while body and body[-1][0] is None:
        rest.append(body.pop()[1])
    table.append(key, item)
    for end in reversed(rest):
        table.add(end)


def _item(value: Any) -> Any:
    """Return a value as it is written within one line."""
    import tomlkit

    if isinstance(value, dict):
        table = tomlkit.inline_table()
        for key, inner in value.items():
            table.append(key, _item(inner))
        return table
    if isinstance(value, list | tuple):
        array = tomlkit.array()
        for inner in value:
            array.append(_item(inner))
        return array
    return tomlkit.item(value)
