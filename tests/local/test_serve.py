"""Telling what an app is: from its source, and by looking at it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moorage_local import _serve
from moorage_local._serve import AppError, declared_interface, interface_of


@pytest.mark.parametrize(
    ("source", "interface"),
    [
        ("async def app(scope, receive, send): ...", "asgi"),
        ("def app(environ, start_response): ...", "wsgi"),
        ("from fastapi import FastAPI\napp = FastAPI(title='x')", "asgi"),
        ("from flask import Flask\napp = Flask(__name__)", "wsgi"),
        # Whatever is not certain is looked at.
        ("from flask import Flask as F\napp = F(__name__)", None),
        ("from mine import FastAPI\napp = FastAPI()", None),
        ("def app(scope, receive, send): ...", None),
        ("def app(*arguments): ...", None),
        ("@wrapped\nasync def app(scope, receive, send): ...", None),
        ("async def app(scope, receive, send): ...\napp = other(app)", None),
        ("if x:\n    async def app(scope, receive, send): ...", None),
        ("async def app(scope, receive, send): ...\nfrom other import *", None),
        ("async def app(scope, receive, send): ...\napp: object = 1", None),
        ("app, other = make()", None),
        ("class app: ...", None),
        ("other = 1", None),
        ("def app(:", None),
        ("\0", None),
    ],
)
def test_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, interface: str | None
) -> None:
    """The source of an app tells its interface only where nothing else is possible."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "main.py").write_text(source)
    (tmp_path / "pkg" / "__init__.py").write_text(source)

    assert declared_interface("main:app") == interface
    assert declared_interface("pkg:app") == interface
    assert declared_interface("nowhere:app") is None


class Asynchronous:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class Synchronous:
    def __call__(self, environ: Any, start_response: Any) -> None: ...


@pytest.mark.parametrize(
    ("target", "interface"),
    [
        (Asynchronous(), "asgi"),
        (Synchronous(), "wsgi"),
        (lambda scope, receive, send: None, "asgi"),
        (lambda environ, start_response: None, "wsgi"),
        (lambda environ, start_response, option=1: None, "wsgi"),
        (lambda *arguments, **options: None, "wsgi"),
        (dict.get, "wsgi"),
    ],
)
def test_object(target: Callable[..., Any], interface: str) -> None:
    """A callable is what it is called like."""
    assert interface_of(target) == interface


@pytest.mark.parametrize("target", [lambda: None, lambda one: None, lambda a, b, c, d: None])
def test_neither(target: Callable[..., Any]) -> None:
    """What can be called like neither is refused."""
    with pytest.raises(AppError, match="neither an ASGI callable"):
        interface_of(target)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("localhost:80", ("localhost", 80)),
        ("[::1]:8080", ("::1", 8080)),
        ("[::1]", ("::1", 80)),
        ("models.example", ("models.example", 80)),
        ("", ("127.0.0.1", 80)),
    ],
)
def test_address(host: str, address: tuple[str, int]) -> None:
    """The server's address is what the client called."""
    assert _serve._address(host) == address


def test_client() -> None:
    """The client is whoever spoke to the gateway, not who it claims to be."""
    assert _serve._client("10.1.2.3, 127.0.0.1") == "127.0.0.1"
    assert _serve._client("") == "127.0.0.1"
