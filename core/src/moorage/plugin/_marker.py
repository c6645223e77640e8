"""How a plugin marks its hooks: with what pluggy looks for, and without loading it.

A program that uses a provider's client alone finds no plugins, and so has no use for pluggy.
"""

from collections.abc import Callable
from typing import Any, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

PROJECT = "moorage"


@overload
def hookimpl(function: F, /) -> F: ...


@overload
def hookimpl(
    *,
    wrapper: bool = False,
    optionalhook: bool = False,
    tryfirst: bool = False,
    trylast: bool = False,
    specname: str | None = None,
) -> Callable[[F], F]: ...


def hookimpl(
    function: F | None = None,
    /,
    *,
    wrapper: bool = False,
    optionalhook: bool = False,
    tryfirst: bool = False,
    trylast: bool = False,
    specname: str | None = None,
) -> F | Callable[[F], F]:
    """Mark a function of a plugin module as the implementation of a hook.

    Args:
        function: The function, where it is used without brackets.
        wrapper: Whether it is a generator that wraps the other implementations.
        optionalhook: Whether there may be no such hook.
        tryfirst: Whether it comes before the other implementations.
        trylast: Whether it comes after them.
        specname: Name of the hook, where it is not the function's.
    """

    def mark(function: F) -> F:
        options = {
            "wrapper": wrapper,
            "hookwrapper": False,
            "optionalhook": optionalhook,
            "tryfirst": tryfirst,
            "trylast": trylast,
            "specname": specname,
        }
        # What `pluggy.HookimplMarker` sets, and `PluginManager.parse_hookimpl_opts` looks for.
        setattr(function, f"{PROJECT}_impl", options)
        return function

    return mark if function is None else mark(function)
