"""Telling whoever listens what moorage does: structlog events and plugin hooks."""

import functools
import sys
from typing import TYPE_CHECKING, Any

from .errors import MoorageError, PluginError

if TYPE_CHECKING:
    import pluggy

_DEBUG = 10  # as `logging` has it, which is not imported for this


def emit(event: str, **keys: Any) -> None:
    """Log one event at debug level, if the program has configured structlog.

    A program that never imports structlog pays one dictionary look-up. One that imports it and
    configures nothing would get our events printed among its output, so that it gets none.
    """
    if listening():
        sys.modules["structlog"].get_logger("moorage").debug(event, **keys)


def listening() -> bool:
    """Return whether anybody wants events; worth a look where making one takes its time."""
    structlog = sys.modules.get("structlog")
    return (
        structlog is not None
        and structlog.is_configured()
        and _takes_debug(structlog.get_config()["wrapper_class"])
    )


@functools.lru_cache(maxsize=8)  # asking takes as long as making a logger
def _takes_debug(wrapper: Any) -> bool:
    """Return whether loggers of this class do anything with an event at debug level."""
    try:
        return bool(wrapper(None, [], {}).is_enabled_for(_DEBUG))
    except Exception:  # noqa: BLE001  # a class of the program's own may be made in another way
        return True


def call_finished(**keys: Any) -> None:
    """Log the end of one portable call."""
    emit("call finished", **keys)


class Hooks:
    """The observation hooks of the loaded plugins; free where no plugin has one."""

    def __init__(self, manager: "pluggy.PluginManager | None" = None) -> None:
        before = manager and manager.hook.moorage_before_call
        after = manager and manager.hook.moorage_after_call
        self._before = before if before and before.get_hookimpls() else None
        self._after = after if after and after.get_hookimpls() else None

    def before(
        self, call_id: int, provider: str, profile: str, operation: str, resource: str | None
    ) -> None:
        """Tell that a call begins; what a hook raises refuses it."""
        if self._before is None:
            return
        try:
            self._before(call=_call(call_id, provider, profile, operation, resource))
        except MoorageError:
            raise
        except Exception as exc:
            raise PluginError(
                f"a plugin's moorage_before_call failed: {type(exc).__name__}: {exc}",
                hint="name the plugins to use in MOORAGE_PLUGINS, without the one that fails",
            ) from exc

    def after(
        self,
        call_id: int,
        provider: str,
        profile: str,
        operation: str,
        resource: str | None,
        seconds: float,
        error: str | None,
    ) -> None:
        """Tell that a call ended; what a hook raises is logged."""
        if self._after is None:
            return
        from .plugin._hooks import Outcome

        try:
            self._after(
                call=_call(call_id, provider, profile, operation, resource),
                outcome=Outcome(seconds=seconds, error=error),
            )
        except MoorageError as exc:
            emit("hook failed", hook="moorage_after_call", error=exc.code)
        except Exception as exc:  # noqa: BLE001  # an observer must not change what it observes
            emit("hook failed", hook="moorage_after_call", error=type(exc).__name__)


def _call(
    call_id: int, provider: str, profile: str, operation: str, resource: str | None
) -> object:
    from .plugin._hooks import Call

    return Call(
        id=call_id, provider=provider, profile=profile, operation=operation, resource=resource
    )
