"""From the layers to the settings of a connection, or to an explanation of them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from .._capability import Support, lowest
from .._redaction import Redactor, SecretValue
from ..errors import ConfigError, MoorageError
from ._conversion import (
    convert_value,
    finish_secret,
    lower,
    parse_secret,
    shown,
)
from ._environment import PROFILES_PREFIX, part
from ._explanation import Explanation, Resolution, ResolvedValue, ShadowedValue
from ._layers import Candidate, Layers
from ._origin import Layer, ValueOrigin
from ._reference import Credentials, SecretReference
from ._schema import SettingField
from ._selection import Selection
from ._trust import check_credentials, check_setting, is_present

if TYPE_CHECKING:
    from ..plugin._provider import ProviderInfo

Report = Callable[[ConfigError], None]

_BUILT_IN = ValueOrigin(layer=Layer.BUILT_IN, where="built-in default")


class Choice(msgspec.Struct, kw_only=True):
    """What was chosen for one setting."""

    field: SettingField
    winner: Candidate | None
    """`None` for the built-in default, and where nothing gives a value."""

    value: Any = None
    """Converted; of a credential, the parsed form that has not been read."""

    failed: bool = False
    """Whether the value is wrong, so that nothing can be said about it."""

    described: ResolvedValue


class Resolver:
    """Decides every setting of one selection."""

    def __init__(
        self,
        selection: Selection,
        info: "ProviderInfo",
        fields: Mapping[str, SettingField],
        layers: Layers,
        report: Report,
    ) -> None:
        """Decide, without reading a credential.

        Args:
            selection: The profile and the provider.
            info: The provider.
            fields: Its settings.
            layers: What the layers say.
            report: Is told each error; raises it, or goes on.
        """
        self._selection = selection
        self._info = info
        self._report = report
        self.notices = [*selection.notices, *layers.notices]
        self.lowered = self._lower(layers)
        self.choices = [self._choose(field, layers[field.key]) for field in fields.values()]
        self._check_trust(layers)
        self._check_required(layers)

    def explain(self, problems: tuple[str, ...]) -> Explanation:
        """Return what was decided, as far as that goes without reading a credential."""
        return Explanation(
            profile=self._selection.profile,
            provider=self._selection.provider,
            explicit=self._selection.explicit,
            origin=self._selection.origin,
            values=tuple(choice.described for choice in self.choices),
            lowered=self.lowered,
            notices=tuple(self.notices),
            problems=problems,
        )

    def resolve(self, environment: Mapping[str, str], credentials: Credentials) -> Resolution:
        """Read the credentials and make the settings.

        Raises:
            ConfigError: A credential cannot be had, or the provider refuses the settings.
        """
        secrets: list[SecretValue] = []

        def read(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: read(item) for key, item in value.items()}
            if isinstance(value, list):
                return [read(item) for item in value]
            if isinstance(value, SecretReference):
                value = value.read(environment, credentials)
            if isinstance(value, SecretValue):
                secrets.append(value)
            return value

        values = {}
        for choice in self.choices:
            if choice.winner is None:
                continue
            value = choice.value
            if choice.field.secret:
                value = finish_secret(choice.field, choice.winner, read(value))
            values[choice.field.name] = value
        return Resolution(
            profile=self._selection.profile,
            provider=self._selection.provider,
            settings=self._settings(values, secrets),
            lowered=self.lowered,
            values=tuple(choice.described for choice in self.choices),
            notices=tuple(self.notices),
            secrets=tuple(dict.fromkeys(secrets)),
        )

    def _settings(self, values: Mapping[str, Any], secrets: list[SecretValue]) -> Any:
        try:
            return self._info.settings(**values)
        except MoorageError:
            raise
        except (ValueError, TypeError) as exc:  # the struct's own checks
            redactor = Redactor()
            for secret in secrets:
                redactor.add(secret)
            raise ConfigError(
                f"{self._subject}: {redactor.clean(str(exc))}",
                hint="`moorage profiles explain` shows where its settings come from",
                provider=self._selection.provider,
            ) from None  # the cause could quote a credential

    @property
    def _subject(self) -> str:
        if self._selection.profile is None:
            return f"provider {self._selection.provider!r}"
        return f"profile {self._selection.profile!r}"

    def _lower(self, layers: Layers) -> dict[str, Support]:
        lowered: dict[str, Support] = {}
        for candidate in layers.capabilities:
            try:
                for name, support in lower(candidate, self._info.capabilities).items():
                    # No layer gives back what another one took away.
                    lowered[name] = lowest(lowered.get(name, support), support)
            except ConfigError as exc:
                self._report(exc)
        return lowered

    def _choose(self, field: SettingField, candidates: tuple[Candidate, ...]) -> Choice:
        candidates = self._without_ambient(field, candidates)
        parsed: list[Any] = []
        failed = False
        for index, candidate in enumerate(candidates):
            # A credential that lost is looked at as well: it must not stand where it stands,
            # whoever wins. Other values count only when they win.
            try:
                if field.secret:
                    parsed.append(parse_secret(field, candidate))
                else:
                    parsed.append(
                        convert_value(field, candidate) if index == 0 else candidate.value
                    )
                if index == 0:
                    check_setting(field, candidate)
            except ConfigError as exc:
                self._report(exc)
                failed = failed or index == 0
                if len(parsed) <= index:
                    parsed.append(SecretValue("") if field.secret else candidate.value)
        seen = [
            (shown(value), candidate.origin)
            for value, candidate in zip(parsed, candidates, strict=True)
        ]
        if not field.required or not seen:
            default = None if field.required else shown(field.default)
            seen.append((default, _BUILT_IN))
        return Choice(
            field=field,
            winner=candidates[0] if candidates else None,
            value=parsed[0] if parsed else None,
            failed=failed,
            described=ResolvedValue(
                key=field.key,
                shown=seen[0][0],
                origin=seen[0][1],
                shadowed=tuple(
                    ShadowedValue(shown=text, origin=origin) for text, origin in seen[1:]
                ),
                secret=field.secret,
                description=field.description,
            ),
        )

    def _without_ambient(
        self, field: SettingField, candidates: tuple[Candidate, ...]
    ) -> tuple[Candidate, ...]:
        """Leave a vendor's own variable out where the profile was chosen; tell if it loses."""
        if not candidates or candidates[-1].origin.layer is not Layer.AMBIENT:
            return candidates
        ambient = candidates[-1]
        variable = ambient.origin.where
        if len(candidates) > 1:
            winner = candidates[0]
            if winner.value not in (ambient.value, {"env": variable}):
                self.notices.append(
                    f"{variable} is set and not used: {field.key!r} comes from {winner.origin}"
                )
            return candidates
        if self._selection.explicit:
            self.notices.append(
                f"{variable} is set and not used: {self._subject} was chosen by"
                f" {self._selection.origin}"
            )
            return ()
        return candidates

    def _check_trust(self, layers: Layers) -> None:
        credentials = [
            (choice.field, choice.winner)
            for choice in self.choices
            if choice.field.secret and choice.winner is not None and is_present(choice.value)
        ]
        destinations = [
            (choice.field, choice.winner, self._is_confirmed(choice, layers))
            for choice in self.choices
            if choice.field.destination and choice.winner is not None and not choice.failed
        ]
        try:
            check_credentials(self._selection, credentials, destinations)
        except ConfigError as exc:
            self._report(exc)

    def _is_confirmed(self, choice: Choice, layers: Layers) -> bool:
        """Tell whether a trusted layer gives the value that wins."""
        if choice.value is None:
            return True  # no destination at all
        for candidate in layers[choice.field.key]:
            if not candidate.origin.layer.trusted or candidate.origin.layer is Layer.AMBIENT:
                continue
            try:
                # Of the layers below, the best one speaks for the user.
                return bool(convert_value(choice.field, candidate) == choice.value)
            except ConfigError:
                return False
        return not choice.field.required and bool(choice.field.default == choice.value)

    def _check_required(self, layers: Layers) -> None:
        missing = [
            choice.field
            for choice in self.choices
            if choice.winner is None and choice.field.required
        ]
        if not missing:
            return
        field = missing[0]
        names = ", ".join(repr(field.key) for field in missing)
        profile = self._selection.profile
        variable = (
            field.variable
            if profile is None
            else f"{PROFILES_PREFIX}{part(profile)}__{part(field.key)}"
        )
        hints = [f"set {variable}"]
        if profile is not None:
            hints.append(f"`moorage profiles set {profile} {field.key}`")
        if field.ambient is not None and layers[field.key]:
            hints.append(f'write {{ env = "{field.ambient}" }} in the profile')
        self._report(
            ConfigError(
                f"{self._subject} of {self._info.name!r} lacks {names}"
                if profile is not None
                else f"{self._subject} needs {names}",
                hint=" or ".join(hints)
                + (f"; {field.key} is: {field.description}" if field.description else ""),
                provider=self._selection.provider,
            )
        )
