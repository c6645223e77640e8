"""Credentials: written out, or found by a reference when they are needed.

| reference | where the credential is |
| --- | --- |
| `{ env = "NAME" }` | an environment variable |
| `{ file = "PATH" }` | a file, without the line end at its end |
| `{ keyring = "NAME" }` | the operating system's keyring, service `moorage` |
| `{ command = ["pass", "show", "x"] }` | what a program prints, without the line end at its end |
| `{ SCHEME = ... }` | what a plugin's `moorage_credentials` hook returns |

A reference is followed when a profile is connected and at no other time.
"""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from .._capability import near
from .._redaction import SecretValue
from ..errors import ConfigError, MoorageError, PluginError
from ._file import is_exposed
from ._origin import Layer, ValueOrigin

SCHEMES = ("env", "file", "keyring", "command")
KEYRING_SERVICE = "moorage"
COMMAND_TIMEOUT_S = 60.0
"""Long enough for somebody to type a passphrase."""

SECRET_LIMIT_BYTES = 1 << 16

_AS_TEXT = "encode it as text, in base64 for example"

Credentials: TypeAlias = Callable[[str, Any], SecretValue | None]
"""Asks the plugins for `{ SCHEME = reference }`; `None` where no plugin knows the scheme."""


class SecretReference(msgspec.Struct, frozen=True, kw_only=True):
    """Where a credential is."""

    scheme: str
    """How to find it."""

    reference: Any
    """What to find."""

    origin: ValueOrigin
    """Who refers to it."""

    place: str
    """What messages call the setting."""

    base: Path | None
    """The directory that relative paths begin at; `None` where there is none."""

    def shown(self) -> str:
        """Return the reference as it may be seen; arguments of a program may be secret."""
        if self.scheme in {"env", "file", "keyring"}:
            return f"{{ {self.scheme} = {msgspec.json.encode(self.reference).decode()} }}"
        return f"{{ {self.scheme} = … }}"

    def read(self, environment: Mapping[str, str], credentials: Credentials) -> SecretValue:
        """Return the credential.

        Raises:
            ConfigError: It is not there, or cannot be had; the message holds none of it.
            PluginError: The plugin that knows the scheme failed.
        """
        if self.scheme == "env":
            text = self._from_environment(environment)
        elif self.scheme == "file":
            text = self._from_file()
        elif self.scheme == "keyring":
            text = self._from_keyring()
        elif self.scheme == "command":
            text = self._from_command(environment)
        else:
            text = self._from_plugin(credentials)
        return checked(SecretValue(text), f"{self.place}: {self.shown()}")

    def _from_environment(self, environment: Mapping[str, str]) -> str:
        if self.reference not in environment:
            raise ConfigError(
                f"{self.place}: variable {self.reference} is not set",
                hint=f"set {self.reference}, or change the reference",
            )
        return environment[self.reference]

    def _from_file(self) -> str:
        path = self._path()
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as exc:
            raise self._unreadable(path, exc) from exc
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(
                    f"{self.place}: {path} is not a file",
                    hint="name a file that holds the credential",
                )
            if status.st_uid == os.geteuid() and is_exposed(status, handle):
                raise ConfigError(
                    f"{self.place}: {path} can be read by others"
                    f" (mode {stat.S_IMODE(status.st_mode):04o})",
                    hint=f"chmod 600 {path}",
                )
            content = b""
            while len(content) <= SECRET_LIMIT_BYTES and (
                chunk := os.read(handle, SECRET_LIMIT_BYTES + 1)
            ):
                content += chunk
        except OSError as exc:
            raise self._unreadable(path, exc) from exc
        finally:
            os.close(handle)
        return self._text(content, str(path))

    def _path(self) -> Path:
        path = Path(os.path.expanduser(self.reference))  # noqa: PTH111  # Path.expanduser raises for an unknown user
        if path.is_absolute():
            return path
        if self.base is None:
            raise ConfigError(
                f"{self.place}: the path {self.reference!r} is relative, and there is no directory"
                " to begin at",
                hint="write an absolute path",
            )
        return self.base / path

    def _unreadable(self, path: Path, exc: OSError) -> ConfigError:
        return ConfigError(
            f"{self.place}: {path} cannot be read: {exc.strerror or type(exc).__name__}",
            hint="check the path, who owns it and its mode",
        )

    def _from_keyring(self) -> str:
        from ._keyring import read_keyring

        text = read_keyring(self.reference, self.place)
        if text is None:
            raise ConfigError(
                f"{self.place}: the keyring has no item {self.reference!r} of the service"
                f" {KEYRING_SERVICE!r}",
                hint=f"`moorage login` stores one, and so does"
                f" `keyring set {KEYRING_SERVICE} {self.reference}`",
            )
        return text

    def _from_command(self, environment: Mapping[str, str]) -> str:
        from ._command import run_command

        directory = self.base if self.origin.layer is not Layer.ARGUMENT else None
        output = run_command(
            self.reference, self.place, environment=environment, directory=directory
        )
        return self._text(output, f"the output of {self.reference[0]!r}")

    def _from_plugin(self, credentials: Credentials) -> str:
        try:
            found = credentials(self.scheme, self.reference)
        except MoorageError:
            raise
        except Exception as exc:
            raise PluginError(
                f"{self.place}: the plugin for {self.scheme!r} failed: {type(exc).__name__}",
                hint="this is a defect of the plugin: please report it",
            ) from exc
        if found is None:
            raise ConfigError(
                f"{self.place}: nothing knows references of the kind {self.scheme!r}"
                f"{near(self.scheme, SCHEMES)}",
                hint=f"moorage knows {', '.join(SCHEMES)}; others come with a plugin, which may not"
                " be installed or loaded",
            )
        if not isinstance(found, SecretValue):
            raise PluginError(
                f"{self.place}: the plugin for {self.scheme!r} returned"
                f" {type(found).__name__}, not a SecretValue",
                hint="this is a defect of the plugin: please report it",
            )
        return found.reveal()

    def _text(self, content: bytes, what: str) -> str:
        if len(content) > SECRET_LIMIT_BYTES:
            raise ConfigError(
                f"{self.place}: {what} is longer than {SECRET_LIMIT_BYTES} bytes",
                hint="a credential is shorter; is it the right one?",
            )
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise ConfigError(
                f"{self.place}: {what} is not text in UTF-8",
                hint=_AS_TEXT,
            ) from None  # the cause would carry the credential
        # One line end, as editors and `echo` add it; a second one is part of the credential.
        return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def parse_reference(
    table: Mapping[Any, Any], *, origin: ValueOrigin, place: str, base: Path | None
) -> SecretReference:
    """Return the reference that a table is, without following it.

    Raises:
        ConfigError: It is none, or a project's file may not use it.
    """
    if len(table) != 1 or not all(isinstance(key, str) and key for key in table):
        raise ConfigError(
            f"{place}: a reference to a credential has one key, and this table has {len(table)}",
            hint='write { env = "NAME" }, { file = "PATH" }, { keyring = "NAME" } or'
            ' { command = ["PROGRAM", "ARGUMENT"] }',
        )
    ((scheme, reference),) = table.items()
    if not origin.layer.trusted and scheme not in {"env", "keyring"}:
        raise ConfigError(
            f"{place}: a project's file may not read a credential by {scheme!r}",
            hint="move the reference to a profile of your own file; a checked-out project may not"
            " run programs or read files of yours",
        )
    if scheme == "command":
        _check_command(reference, place)
    elif scheme in SCHEMES and (
        not isinstance(reference, str) or not reference or "\0" in reference
    ):
        raise ConfigError(
            f"{place}: {scheme!r} takes a string that is not empty",
            hint=f'write {{ {scheme} = "..." }}',
        )
    return SecretReference(
        scheme=scheme, reference=reference, origin=origin, place=place, base=base
    )


def checked(value: SecretValue, what: str) -> SecretValue:
    """Return a credential unless it is empty or no text for a header.

    Raises:
        ConfigError: It is.
    """
    text = value.reveal()
    if not text.strip():
        raise ConfigError(
            f"{what} gives an empty credential", hint="store the credential, or remove the key"
        )
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ConfigError(f"{what} gives a credential that is not text in UTF-8", hint=_AS_TEXT)
    if "\0" in text:
        raise ConfigError(f"{what} gives a credential with a NUL byte", hint=_AS_TEXT)
    return value


def _check_command(reference: Any, place: str) -> None:
    if (
        not isinstance(reference, list | tuple)
        or not reference
        or not all(isinstance(word, str) and "\0" not in word for word in reference)
        or not reference[0]
    ):
        raise ConfigError(
            f"{place}: 'command' takes an array of strings, the program first",
            hint='no shell reads it: write { command = ["pass", "show", "x"] }',
        )
    program = reference[0]
    if "/" in program and not program.startswith(("/", "~/")):
        raise ConfigError(
            f"{place}: the program {program!r} is relative to whatever directory is current",
            hint="write its absolute path, or its name alone to look it up on PATH",
        )
