"""`bento.yaml` and `model.yaml`: what BentoML keeps beside the files of a bento and a model."""

from collections.abc import Mapping
from typing import Any

import msgspec

from moorage.errors import InvalidRequestError
from moorage.plugin import ArtifactRef

from . import _moments
from ._wire_store import (
    BentoEnv,
    BentoManifest,
    Image,
    ModelManifest,
    Runner,
    RunnerResources,
    Service,
    ServiceModel,
)

BENTO_YAML = "bento.yaml"
MODEL_YAML = "model.yaml"

_LARGEST_BYTES = 4 << 20
_NEEDED = {
    BENTO_YAML: ("name", "version", "service"),
    MODEL_YAML: ("name", "version", "module", "api_version"),
}


def write(values: Mapping[str, Any]) -> bytes:
    """Return YAML whose bytes depend on the values alone: what is nested is written as JSON.

    Mappings of the first level are written in lines, since some look for a line of theirs.
    """
    lines = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            lines.append(f"{key}:")
            lines += [f"  {inner}: {_flow(item)}" for inner, item in value.items()]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return ("\n".join(lines) + "\n").encode()


def read(content: bytes, file: str) -> dict[str, Any]:
    """Return what such a file says.

    Raises:
        InvalidRequestError: It is not YAML, or lacks what BentoML itself needs.
    """
    import yaml

    if len(content) > _LARGEST_BYTES:
        raise InvalidRequestError(f"{file} has more than {_LARGEST_BYTES} bytes")
    try:
        value = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # both are safe
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidRequestError(f"{file} is not YAML: {exc}") from exc
    missing = [
        key for key in _NEEDED[file] if not isinstance(value, dict) or value.get(key) is None
    ]
    if missing:
        raise InvalidRequestError(
            f"{file} lacks {', '.join(missing)}",
            hint="push a directory that BentoML has built, or one with a moorage.toml",
        )
    return {str(key): item for key, item in value.items()}


def bento_manifest(values: Mapping[str, Any], size_bytes: int) -> BentoManifest:
    """Return what the API is told of a bento.

    Raises:
        InvalidRequestError: Something of it has another type.
    """
    try:
        return BentoManifest(
            service=str(values["service"]),
            bentoml_version=str(values.get("bentoml_version") or ""),
            size_bytes=size_bytes,
            entry_service=str(values.get("entry_service") or ""),
            name=str(values["name"]),
            apis={},
            models=tuple(_tags(values)),
            runners=tuple(_runner(item) for item in values.get("runners") or ()),
            services=tuple(_service(item) for item in values.get("services") or ()),
            envs=msgspec.convert(values.get("envs") or [], tuple[BentoEnv, ...], strict=False),
            schema=msgspec.convert(values.get("schema") or {}, dict[str, Any]),
            version=str(values["version"]),
            image=None
            if not values.get("image")
            else msgspec.convert(_without_null(values["image"]), Image, strict=False),
            spec=int(values.get("spec") or 1),
        )
    except (msgspec.ValidationError, AttributeError, KeyError, TypeError, ValueError) as exc:
        raise InvalidRequestError(f"{BENTO_YAML} cannot be understood: {exc}") from exc


def model_manifest(values: Mapping[str, Any], size_bytes: int) -> ModelManifest:
    """Return what the API is told of a model.

    Raises:
        InvalidRequestError: Something of it has another type.
    """
    context = values.get("context") or {}
    try:
        return ModelManifest(
            module=str(values.get("module") or ""),
            api_version=str(values["api_version"]),
            bentoml_version=str(dict(context).get("bentoml_version") or ""),
            size_bytes=size_bytes,
            metadata=dict(values.get("metadata") or {}),
            context=dict(context),
            options=dict(values.get("options") or {}),
        )
    except (TypeError, ValueError) as exc:
        raise InvalidRequestError(f"{MODEL_YAML} cannot be understood: {exc}") from exc


def models_of(values: Mapping[str, Any]) -> list[ArtifactRef]:
    """Return the models of a bento, each once."""
    return [ArtifactRef(*tag.split(":", 1)) for tag in _tags(values, "bentoml") if ":" in tag]


def _tags(values: Mapping[str, Any], registry: str | None = None) -> list[str]:
    """Return the tags of a bento's models, each once; only those of one registry, if it is named.

    Since the models of a service stand with it alone, both places are looked at.
    """
    models = [*(values.get("models") or [])]
    for service in values.get("services") or []:
        models += service.get("models") or []
    tags = [
        _tag(model)
        for model in models
        if registry is None
        or not isinstance(model, dict)
        or model.get("registry", "bentoml") == registry
    ]
    return list(dict.fromkeys(tags))


def _flow(value: Any) -> str:
    return msgspec.json.encode(value).decode()  # which YAML has taken over from JSON


def _tag(model: Any) -> str:
    return str(model["tag"] if isinstance(model, dict) else model)


def _runner(item: Any) -> Runner:
    """Return a runner, which only bentos of the first form have."""
    wanted = item.get("resource_config")
    return Runner(
        name=str(item["name"]),
        runnable_type=item.get("runnable_type"),
        models=tuple(map(str, item["models"])) if item.get("models") is not None else None,
        resource_config=RunnerResources(
            cpu=wanted.get("cpu"),
            nvidia_gpu=wanted.get("nvidia.com/gpu"),
            custom_resources=wanted.get("custom_resources"),
        )
        if wanted
        else None,
    )


def _service(item: Any) -> Service:
    models = [
        ServiceModel(tag=model) if isinstance(model, str) else _service_model(model)
        for model in item.get("models") or []
    ]
    plain = _without_null({key: value for key, value in item.items() if key != "models"})
    plain["dependencies"] = [
        {"service": each} if isinstance(each, str) else each
        for each in plain.get("dependencies") or []
    ]
    return msgspec.structs.replace(
        msgspec.convert(plain, Service, strict=False), models=tuple(models)
    )


def _service_model(item: Any) -> ServiceModel:
    plain = _without_null(item)
    plain["creation_time"] = _moments.from_text(plain.get("creation_time"))
    return msgspec.convert(plain, ServiceModel, strict=False)


def _without_null(value: Any) -> dict[str, Any]:
    # A moment is written as YAML's own kind of value, and sent as text.
    return {
        key: item.isoformat() if hasattr(item, "isoformat") else item
        for key, item in dict(value).items()
        if item is not None
    }
