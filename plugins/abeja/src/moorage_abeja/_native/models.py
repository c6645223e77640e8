"""Models: what training makes, and what services and runs are given."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from moorage.errors import InvalidRequestError
from moorage.plugin import Progress
from moorage.plugin.transport import Content, Downloaded, FileField, Form

from .._wire import DownloadLink, Message
from .._wire_training import TrainingModel, TrainingModels
from .archives import zipped_model
from .noun import ORGANIZATION, Noun, archive_filter
from .transfer import fetched

DEFINITIONS = f"{ORGANIZATION}/training/definitions"
DEFINITION = f"{DEFINITIONS}/{{job_definition_name}}"
_MODELS = f"{DEFINITION}/models"
_MODEL = f"{_MODELS}/{{model_id}}"


class ModelsApi(Noun):
    """The models of an organization's training definitions."""

    def get_training_models(
        self,
        job_definition_name: str,
        *,
        filter_archived: bool | None = None,
        organization_id: str | None = None,
    ) -> TrainingModels:
        """Return all models of a definition.

        Args:
            job_definition_name: Whose.
            filter_archived: Whether to leave out what is archived; by default the platform
                decides.
            organization_id: By default the client's.
        """
        query = {"filter_archived": archive_filter(filter_archived)}
        ids = {"job_definition_name": job_definition_name}
        return self._call("GET", _MODELS, TrainingModels, organization_id, ids, query=query)

    def create_training_model(
        self,
        job_definition_name: str,
        model_data: bytes | Path | str | BinaryIO,
        parameters: Mapping[str, Any] | None = None,
        *,
        progress: Progress | None = None,
        organization_id: str | None = None,
    ) -> TrainingModel:
        """Store a model and return it.

        On the platform a model is a zip archive, which is unpacked for the handler. A file or a
        stream that is none is put into one under its own name, and so is a file whose format
        happens to be zip (`.npz`, `.pt`, `.keras`): only what is named `.zip`, or a zip archive
        without a name, travels as it is. Streams stay open.

        Args:
            job_definition_name: Whose.
            model_data: A file, a directory, bytes, or a binary file that is open.
            parameters: `training_job_id`, `description`, `user_parameters`, `metrics`.
            progress: Called with bytes done and bytes in total.
            organization_id: By default the client's.
        """
        if model_data is None:
            raise InvalidRequestError("'model_data' is needed", fields={"model_data": "is needed"})
        with zipped_model(model_data) as archive:
            form = archive_form("model_data", archive, parameters or {})
            options = {} if progress is None else {"progress": progress}
            ids = {"job_definition_name": job_definition_name}
            return self._call(
                "POST", _MODELS, TrainingModel, organization_id, ids, data=form, **options
            )

    def get_training_model(
        self, job_definition_name: str, model_id: str, *, organization_id: str | None = None
    ) -> TrainingModel:
        """Return one model."""
        ids = {"job_definition_name": job_definition_name, "model_id": model_id}
        return self._call("GET", _MODEL, TrainingModel, organization_id, ids)

    def patch_training_model(
        self,
        job_definition_name: str,
        model_id: str,
        description: str | None,
        *,
        organization_id: str | None = None,
    ) -> TrainingModel:
        """Change the description of a model."""
        ids = {"job_definition_name": job_definition_name, "model_id": model_id}
        body = {"description": description}
        return self._call("PATCH", _MODEL, TrainingModel, organization_id, ids, json=body)

    def download_training_model(
        self, job_definition_name: str, model_id: str, *, organization_id: str | None = None
    ) -> DownloadLink:
        """Return where a model is fetched from; `fetch_training_model` does.

        The link is a secret, and lives for an hour.
        """
        ids = {"job_definition_name": job_definition_name, "model_id": model_id}
        return self._call("GET", f"{_MODEL}/download", DownloadLink, organization_id, ids)

    def fetch_training_model(
        self,
        job_definition_name: str,
        model_id: str,
        destination: Path,
        *,
        digest: str | None = None,
        progress: Progress | None = None,
        organization_id: str | None = None,
    ) -> Downloaded:
        """Download a model's archive to a file, which appears once it is whole.

        Args:
            job_definition_name: Whose model.
            model_id: Which.
            destination: The file.
            digest: What its digest must be, `"sha256:<hex>"`.
            progress: Called with bytes done and bytes in total.
            organization_id: By default the client's.
        """

        def link() -> str | None:
            return self.download_training_model(
                job_definition_name, model_id, organization_id=organization_id
            ).download_uri

        return fetched(
            self._http,
            link,
            destination,
            what=f"model {model_id}",
            digest=digest,
            progress=progress,
        )

    def archive_training_model(
        self, job_definition_name: str, model_id: str, *, organization_id: str | None = None
    ) -> Message:
        """Put a model away; there is no way to delete one."""
        ids = {"job_definition_name": job_definition_name, "model_id": model_id}
        return self._call("POST", f"{_MODEL}/archive", Message, organization_id, ids)

    def unarchive_training_model(
        self, job_definition_name: str, model_id: str, *, organization_id: str | None = None
    ) -> Message:
        """Take a model out again."""
        ids = {"job_definition_name": job_definition_name, "model_id": model_id}
        return self._call("POST", f"{_MODEL}/unarchive", Message, organization_id, ids)


def archive_form(name: str, archive: Content, parameters: Mapping[str, Any]) -> Form:
    """Return the form with an archive and the JSON file that describes it."""
    return Form(
        [
            FileField(name, archive, filename=f"{name}.zip", content_type="application/zip"),
            FileField(
                "parameters",
                msgspec.json.encode(dict(parameters)),
                filename="params.json",
                content_type="application/json",
            ),
        ]
    )
