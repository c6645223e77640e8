"""Turning what a layer gives into what the settings struct takes."""

import enum
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from .._capability import NAMES, Support, SupportLevel, near
from .._redaction import MASK, SecretValue, clean_url
from ..errors import ConfigError
from ._layers import Candidate
from ._reference import SecretReference, checked, parse_reference
from ._schema import SettingField, parts_of

_REASON = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?", re.DOTALL)


def convert_value(field: SettingField, candidate: Candidate) -> Any:
    """Return the value of a setting that is no credential.

    Raises:
        ConfigError: It is of the wrong type.
    """
    try:
        return _converted(candidate.value, field.type, candidate)
    except msgspec.ValidationError as exc:
        problem = exc
    if candidate.is_text:
        structured = read_structure(candidate.value)
        if structured is not None:
            try:
                return _converted(structured, field.type, candidate)
            except msgspec.ValidationError as exc:
                problem = exc
    raise _wrong(field, candidate, problem)


def parse_secret(field: SettingField, candidate: Candidate) -> Any:
    """Return a credential as `SecretValue`, `SecretReference`, or a dictionary or list of them.

    Nothing is read: a reference stays one.

    Raises:
        ConfigError: It is of the wrong type, empty, or may not stand where it stands.
    """
    value = candidate.value
    members = parts_of(field.type)
    single = SecretValue in members
    if value is None and type(None) in members:
        return None
    if candidate.is_text and not single:
        value = read_structure(value)
    if single and not isinstance(value, list | tuple):
        return _secret(value, candidate, candidate.place)
    kinds = {typing.get_origin(member) for member in members}
    if dict in kinds and isinstance(value, Mapping):
        return {
            str(key): _secret(item, candidate, f"{candidate.place}.{key}")
            for key, item in value.items()
        }
    if kinds & {list, tuple} and isinstance(value, list | tuple):
        return [
            _secret(item, candidate, f"{candidate.place}[{index}]")
            for index, item in enumerate(value)
        ]
    wanted = "a table of credentials" if dict in kinds else "an array of credentials"
    raise ConfigError(
        f"{candidate.place}: expected {'a credential' if single else wanted}",
        hint=_hint(field),
    )


def finish_secret(field: SettingField, candidate: Candidate, value: Any) -> Any:
    """Return credentials that have been read as the type of their setting.

    Raises:
        ConfigError: There are too few or too many.
    """
    try:
        return _converted(value, field.type, candidate)
    except msgspec.ValidationError as exc:
        raise _wrong(field, candidate, exc) from None  # the cause could quote a credential


def lower(candidate: Candidate, declared: Mapping[str, Support]) -> dict[str, Support]:
    """Return the capabilities that a layer lowers.

    Raises:
        ConfigError: A capability does not exist, a level does not, or it would be raised.
    """
    value = candidate.value
    if candidate.is_text:
        value = read_structure(value)
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{candidate.place}: expected a table of capabilities",
            hint='write { "jobs.cancel" = false }',
        )
    lowered = {}
    for name, level in _flattened(value, ""):
        place = f"{candidate.place}: {name}"
        if name not in NAMES:
            raise ConfigError(
                f"{place}: there is no such capability{near(name)}",
                hint="`moorage providers show NAME` lists them",
            )
        lowered[name] = _lowered(place, candidate, level, declared.get(name))
    return lowered


def shown(value: Any) -> str | None:
    """Return a value as it may be seen: without credentials, and `None` for none."""
    if value is None:
        return None
    if isinstance(value, SecretReference):
        return value.shown()
    if isinstance(value, SecretValue):
        return MASK
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str):
        return clean_url(value)
    try:
        return clean_url(msgspec.json.encode(_seen(value), enc_hook=str).decode())
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return f"<{type(value).__name__}>"


def read_structure(text: str) -> Any:
    """Return a table or an array that is written in JSON or in TOML; `None` if it is neither."""
    if not isinstance(text, str) or not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    if "\n" in text:  # could add keys of its own
        return None
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return None


def _converted(value: Any, kind: Any, candidate: Candidate) -> Any:
    def hook(wanted: type, given: Any) -> Any:
        if isinstance(given, wanted):
            return given
        if wanted is Path and isinstance(given, str) and given and "\0" not in given:
            return _path(given, candidate.base)
        if wanted is Path:
            raise msgspec.ValidationError(f"Expected `path`, got `{type(given).__name__}`")
        raise msgspec.ValidationError(f"Expected `{wanted.__name__}`")

    return msgspec.convert(value, kind, strict=not candidate.is_text, dec_hook=hook)


def _path(text: str, base: Path | None) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError as exc:
        raise msgspec.ValidationError("Nobody has the home directory that `~` stands for") from exc
    return path if base is None else base / path


def _secret(value: Any, candidate: Candidate, place: str) -> SecretValue | SecretReference:
    if isinstance(value, Mapping):
        return parse_reference(value, origin=candidate.origin, place=place, base=candidate.base)
    if isinstance(value, str):
        value = SecretValue(value)
    if not isinstance(value, SecretValue):
        # The value itself may be a credential that lacks its quotes.
        raise ConfigError(
            f"{place}: expected a string or a reference to a credential",
            hint='write { keyring = "NAME" } or { env = "NAME" }',
        )
    if not candidate.origin.layer.trusted:
        raise ConfigError(
            f"{place}: a project's file may not hold a credential",
            hint="move it to a profile of your own file, and change it where others could see it",
        )
    if candidate.exposed:
        raise ConfigError(
            f"{place}: there is a credential in a file that others can read",
            hint=f"chmod 600 {candidate.origin.where}, or store the credential elsewhere and write"
            ' { keyring = "NAME" }',
        )
    return checked(value, place)


def _lowered(place: str, candidate: Candidate, level: Any, declared: Support | None) -> Support:
    if level is False:
        level = SupportLevel.UNSUPPORTED
    try:
        wanted = SupportLevel(level)
    except ValueError:
        choices = ", ".join(SupportLevel)
        raise ConfigError(
            f"{place}: {msgspec.json.encode(level, enc_hook=str).decode()} is no level",
            hint=f"write false to give the capability up, or one of {choices}",
        ) from None
    has = declared.level if declared is not None else SupportLevel.UNSUPPORTED
    if wanted.rank > has.rank:
        raise ConfigError(
            f"{place}: a profile can only lower a capability, and the provider declares it {has}",
            hint="remove the line",
        )
    limit = declared.limit if declared is not None else None
    return Support(wanted, f"lowered by {candidate.place}", limit)


def _flattened(table: Mapping[Any, Any], prefix: str) -> list[tuple[str, Any]]:
    """Return the leaves of a table by dotted names, for `jobs.cancel = false` is a nested one."""
    leaves = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            leaves += _flattened(value, f"{prefix}{key}.")
        else:
            leaves.append((f"{prefix}{key}", value))
    return leaves


def _wrong(field: SettingField, candidate: Candidate, exc: msgspec.ValidationError) -> ConfigError:
    match = _REASON.fullmatch(str(exc))
    what, path = (match["what"], match["path"]) if match else (str(exc), None)
    what = (what[:1].lower() + what[1:]).replace("`object`", "`table`")
    what = what.replace("object ", "table ", 1) if what.startswith("object ") else what
    inner = (path or "").removeprefix("$")
    choices = _choices(field.type)
    return ConfigError(
        clean_url(f"{candidate.place}{inner}: {what}"),
        hint=f"one of {', '.join(choices)}" if choices else _hint(field),
    )


def _hint(field: SettingField) -> str:
    return f"`{field.key}` is: {field.description}" if field.description else f"see `{field.key}`"


def _choices(kind: Any) -> list[str]:
    choices: list[str] = []
    for member in parts_of(kind):
        if typing.get_origin(member) is typing.Literal:
            choices += map(str, typing.get_args(member))
        elif isinstance(member, type) and issubclass(member, enum.Enum):
            choices += [str(item.value) for item in member]
    return choices


def _seen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _seen(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_seen(item) for item in value]
    if isinstance(value, SecretValue | SecretReference):
        return shown(value)
    return value
