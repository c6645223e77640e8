"""Where a value comes from."""

import enum

import msgspec


class Layer(enum.StrEnum):
    """A kind of place that values come from, the one that wins first."""

    ARGUMENT = "argument"
    """An argument of the call, or a flag of the command."""

    PROFILE_VARIABLE = "profile_variable"
    """`MOORAGE_PROFILES__<NAME>__<KEY>`."""

    VARIABLE = "variable"
    """`MOORAGE_<KEY>`."""

    PROJECT = "project"
    """The `[moorage]` table of the project's `moorage.toml`."""

    PROFILE = "profile"
    """`[profiles.<name>]` of the user's file, or a profile that it extends."""

    DEFAULTS = "defaults"
    """`[defaults]` of the user's file."""

    AMBIENT = "ambient"
    """A variable that the vendor's own tools read."""

    BUILT_IN = "built_in"
    """The provider's own default."""

    @property
    def trusted(self) -> bool:
        """Whether it is the user's own word; a project's file may be anybody's."""
        return self is not Layer.PROJECT


class ValueOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """The place that one value comes from. Its text is what messages and tables show."""

    layer: Layer
    """What kind of place."""

    where: str
    """The file's path, the variable's name, or what the argument is called."""

    line: int | None = None
    """The line in the file."""

    key: str = ""
    """The dotted path in the file."""

    def __str__(self) -> str:
        if self.line is not None:
            return f"{self.where}:{self.line}"
        return self.where
