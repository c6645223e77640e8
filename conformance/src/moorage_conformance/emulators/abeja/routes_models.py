"""Models of training."""

import zipfile

from .._incoming import json_object
from .call import Call, Route, optional_text, without_archived
from .errors import bad_request
from .routes_training import archived, definition_of
from .state import Wire, found, newest_first

_N = "/organizations/{organization}/training/definitions/{definition}"
_M = f"{_N}/models/{{model}}"


async def create_model(call: Call) -> Wire:
    """Take a model, which is always a zip."""
    definition, world = definition_of(call), call.world
    async with call.form("model_data") as form:
        if "model_data" not in form.files:
            raise bad_request("the part model_data is required")
        content = form.files["model_data"].content
        if not zipfile.is_zipfile(content.path):
            raise bad_request("model_data is not a zip")
        parameters = json_object(form.texts.get("parameters", "{}").encode())
        job_id = optional_text(parameters, "training_job_id")
        if job_id is not None:
            found(definition.jobs, "training job", job_id)
        made, model_id = world.stamp(), world.number()
        model: Wire = {
            "id": model_id,
            "training_model_id": model_id,
            "job_definition_id": definition.wire["job_definition_id"],
            "training_job_id": job_id,
            "user_parameters": parameters.get("user_parameters") or {},
            "metrics": parameters.get("metrics") or {},
            "description": optional_text(parameters, "description") or "",
            "archived": False,
            "exec_env": "none" if job_id is None else "cloud",
            "user": world.creator,
            "created_at": made,
            "modified_at": made,
        }
        definition.models[model_id] = model
        world.store.keep(f"{model_id}/model.zip", content)
        return model


def _model_of(call: Call) -> Wire:
    return found(definition_of(call).models, "training model", call["model"])


async def get_models(call: Call) -> Wire:
    """List them all."""
    models = without_archived(call, newest_first(list(definition_of(call).models.values())))
    return {"entries": models, "total": len(models)}


async def get_model(call: Call) -> Wire:
    """Show one."""
    return _model_of(call)


async def patch_model(call: Call) -> Wire:
    """Change its description."""
    model = _model_of(call)
    description = optional_text(await call.body(), "description")
    model.update(description=description, modified_at=call.world.stamp())
    return model


async def download_model(call: Call) -> Wire:
    """Tell where it is."""
    return {"download_uri": call.world.store.sign("GET", f"{_model_of(call)['id']}/model.zip")}


async def archive_model(call: Call) -> Wire:
    """Archive one; there is no way to delete it."""
    return archived(call, _model_of(call), call["model"], value=True)


async def unarchive_model(call: Call) -> Wire:
    """Take one back from the archive."""
    return archived(call, _model_of(call), call["model"], value=False)


ROUTES: list[Route] = [
    ("POST", f"{_N}/models", create_model),
    ("GET", f"{_N}/models", get_models),
    ("GET", _M, get_model),
    ("PATCH", _M, patch_model),
    ("GET", f"{_M}/download", download_model),
    ("POST", f"{_M}/archive", archive_model),
    ("POST", f"{_M}/unarchive", unarchive_model),
]
