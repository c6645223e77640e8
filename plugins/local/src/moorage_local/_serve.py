"""Serves an app; the program of an app's unit.

It runs in the app's own interpreter and environment, where there is neither moorage nor anything
that moorage needs: it imports the standard library and granian. Called with one JSON object, see
`Arguments`.
"""

import ast
import contextlib
import functools
import importlib
import inspect
import json
import multiprocessing
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, TypedDict

# Constructors whose objects need no closer look, by the module that they are imported from.
_CONSTRUCTORS = {
    ("fastapi", "FastAPI"): "asgi",
    ("litestar", "Litestar"): "asgi",
    ("quart", "Quart"): "asgi",
    ("starlette.applications", "Starlette"): "asgi",
    ("bottle", "Bottle"): "wsgi",
    ("flask", "Flask"): "wsgi",
}
_PR_SET_PDEATHSIG = 1


class Arguments(TypedDict):
    """What the program is told."""

    app: str
    """The callable, `module:attribute`."""

    socket: str
    """Path of the Unix socket to listen on."""

    workers: int
    """How many processes serve."""


class AppError(Exception):
    """The app is not what its manifest says; the message is for its author."""


def main() -> None:
    """Serve until told to end."""
    arguments: Arguments = json.loads(sys.argv[1])
    # The first entry is the directory of this file, which is none of the app's business.
    sys.path[0] = str(Path.cwd())
    sys.argv = [arguments["app"]]
    interface = declared_interface(arguments["app"]) or _probed_interface(arguments["app"])
    serve(arguments, interface)


def serve(arguments: Arguments, interface: str) -> None:
    """Run granian until SIGTERM."""
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    if sys.platform == "linux":
        # Workers come up at once, as copies; newer Pythons have another default.
        multiprocessing.set_start_method("fork")
    socket = Path(arguments["socket"])
    socket.unlink(missing_ok=True)  # of an earlier run that was killed
    server = Server(
        arguments["app"],
        uds=socket,
        uds_permissions=0o600,
        interface=Interfaces(interface),
        workers=arguments["workers"],
        blocking_threads=32 if interface == "wsgi" else None,
        websockets=interface == "asgi",
        # Of WSGI it only has to say that threads outnumber processors, which is what they are for.
        log_level=LogLevels.warning if interface == "asgi" else LogLevels.error,
        respawn_failed_workers=True,
        # No time limit for workers to end: the runner has one for all of them together.
    )
    unusable = False

    def give_up(number: int, frame: object) -> None:
        nonlocal unusable
        unusable = True
        server.signal_handler_interrupt(number, frame)  # type: ignore[no-untyped-call]  # granian has no types there

    signal.signal(signal.SIGUSR1, give_up)
    for stale in socket.parent.glob(f"{socket.name}.*"):
        stale.unlink()
    server.serve(target_loader=functools.partial(load_in_worker, interface, os.getpid(), socket))
    if unusable:
        sys.exit(1)


def load_in_worker(interface: str, main_process: int, socket: Path, app: str) -> Any:
    """Import the app in a worker; if that fails, have the main process give up.

    Another worker would fail the same way, and whoever supervises should know at once. A worker
    that has its app says so by a file `SOCKET.PID`.
    """
    _die_with(main_process)
    # A worker is a copy of the main process, and must not take the signal for itself.
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    try:
        target = load(app)
    except BaseException as exc:  # noqa: BLE001  # an app may raise, or exit, as it likes
        _explain(exc)
        os.kill(main_process, signal.SIGUSR1)
        raise SystemExit(1) from None
    socket.with_name(f"{socket.name}.{os.getpid()}").touch()
    return _with_client_asgi(target) if interface == "asgi" else _with_client_wsgi(target)


def load(app: str) -> Any:
    """Import an app.

    Raises:
        AppError: There is no such attribute, or nothing that can be called.
    """
    name, _, path = app.partition(":")
    target: Any = importlib.import_module(name)
    for attribute in path.split("."):
        try:
            target = getattr(target, attribute)
        except AttributeError:
            raise AppError(f"{app!r} is not there: {target!r} has no {attribute!r}") from None
    if not callable(target):
        raise AppError(f"{app!r} is {type(target).__name__}, which cannot be called")
    return target


def interface_of(target: Any) -> str:
    """Tell what a callable is: `asgi` or `wsgi`.

    Raises:
        AppError: It is neither.
    """
    call = getattr(target, "__call__", target)  # noqa: B004  # the bound method itself is looked at
    if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call):
        return "asgi"
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return "wsgi"  # made in C; servers that speak ASGI are not
    needed = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
    ]
    open_ended = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    if len(needed) == 3:
        return "asgi"
    if len(needed) == 2 or (open_ended and len(needed) < 2):
        return "wsgi"
    raise AppError(
        f"{target!r} takes {len(needed)} arguments: it is neither an ASGI callable"
        " (scope, receive, send) nor a WSGI one (environ, start_response)"
    )


def declared_interface(app: str) -> str | None:
    """Tell from its source alone what an app is; `None` where that is not certain.

    Importing an app only to look at it would double the time that a large one takes to start.
    """
    name, _, attribute = app.partition(":")
    base = Path.cwd().joinpath(*name.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            return _interface_in(ast.parse(file.read_bytes()), attribute)
    return None


def _interface_in(tree: ast.Module, attribute: str) -> str | None:
    found: list[ast.stmt] = [node for node in ast.walk(tree) if _binds(node, attribute)]  # type: ignore[misc]  # `_binds` is true of statements only
    if len(found) != 1 or found[0] not in tree.body:
        return None
    match found[0]:
        case ast.AsyncFunctionDef(decorator_list=[]):
            return "asgi"
        case ast.FunctionDef(decorator_list=[], args=args) if (
            len(args.args) + len(args.posonlyargs) == 2 and not args.vararg
        ):
            return "wsgi"
        case ast.Assign(value=ast.Call(func=ast.Name(id=constructor))):
            for node in tree.body:
                if isinstance(node, ast.ImportFrom) and any(
                    alias.name == constructor and not alias.asname for alias in node.names
                ):
                    return _CONSTRUCTORS.get((node.module or "", constructor))
        case _:
            pass
    return None


def _binds(node: ast.AST, attribute: str) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name == attribute
    if isinstance(node, ast.Assign):
        return any(
            isinstance(part, ast.Name) and part.id == attribute
            for target in node.targets
            for part in ast.walk(target)
        )
    if isinstance(node, ast.AnnAssign | ast.AugAssign):
        return isinstance(node.target, ast.Name) and node.target.id == attribute
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any((alias.asname or alias.name) in (attribute, "*") for alias in node.names)
    return False


def _probed_interface(app: str) -> str:
    """Import the app in a process of its own, which leaves this one clean, and look at it."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        try:
            os.write(writable, interface_of(load(app)).encode())
        except BaseException as exc:  # noqa: BLE001  # an app may raise, or exit, as it likes
            _explain(exc)
            os._exit(1)
        # Threads and exit handlers of the app belong to the workers that will follow.
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        sys.exit(1)
    return answer


def _explain(exc: BaseException) -> None:
    if isinstance(exc, AppError):
        print(f"error: {exc}", file=sys.stderr, flush=True)  # noqa: T201  # goes to the app's log
    else:
        traceback.print_exception(exc)
    sys.stdout.flush()
    sys.stderr.flush()


def _die_with(parent: int) -> None:
    """End this worker when the main process is killed: nobody else would."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        import threading

        def watch() -> None:
            import time

            while os.getppid() == parent:
                time.sleep(1.0)
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _client(forwarded: str) -> str:
    """Return who is behind the gateway, which appends who it was asked by."""
    return forwarded.rpartition(",")[2].strip() or "127.0.0.1"


def _address(host: str) -> tuple[str, int]:
    """Split what a client called, for which a Unix socket has no answer."""
    name, colon, port = host.rpartition(":")
    if colon and port.isdigit():
        return name.strip("[]"), int(port)
    return host.strip("[]") or "127.0.0.1", 80


def _with_client_asgi(app: Any) -> Any:
    async def with_client(scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] in ("http", "websocket"):
            headers = dict(scope["headers"])
            forwarded = headers.get(b"x-forwarded-for", b"").decode("latin-1")
            host = headers.get(b"host", b"").decode("latin-1")
            scope = {**scope, "client": (_client(forwarded), 0), "server": _address(host)}
        return await app(scope, receive, send)

    return with_client


def _with_client_wsgi(app: Any) -> Any:
    def with_client(environ: Any, start_response: Any) -> Any:
        environ["REMOTE_ADDR"] = _client(environ.get("HTTP_X_FORWARDED_FOR", ""))
        name, port = _address(environ.get("HTTP_HOST", ""))
        environ["SERVER_NAME"], environ["SERVER_PORT"] = name, str(port)
        return app(environ, start_response)

    return with_client


if __name__ == "__main__":
    main()
