"""What ABEJA Platform answers about training, in its own words."""

from typing import Any, ClassVar

from ._wire import User, Wire


class JobDefinition(Wire, frozen=True, kw_only=True):
    """What training jobs and models belong to."""

    job_definition_id: str | None = None
    organization_id: str | None = None
    name: str = ""
    archived: bool | None = None
    versions: Any = None
    jobs: Any = None
    version_count: int | None = None
    model_count: int | None = None
    notebook_count: int | None = None
    tensorboard_count: int | None = None
    created_at: str | None = None
    modified_at: str | None = None


class JobDefinitions(Wire, frozen=True, kw_only=True):
    """A page of definitions."""

    entries: tuple[JobDefinition, ...] = ()
    offset: int | None = None
    limit: int | None = None
    total: int | None = None


class JobDefinitionVersion(Wire, frozen=True, kw_only=True):
    """One version of a definition's code."""

    hidden: ClassVar[frozenset[str]] = frozenset({"environment", "user_parameters"})

    job_definition_version: int
    job_definition_id: str | None = None
    handler: str | None = None
    image: str | None = None
    environment: dict[str, Any] | None = None
    user_parameters: dict[str, Any] | None = None
    datasets: Any = None
    description: str | None = None
    archived: bool | None = None
    created_at: str | None = None
    modified_at: str | None = None


class JobDefinitionVersions(Wire, frozen=True, kw_only=True):
    """All versions of a definition."""

    entries: tuple[JobDefinitionVersion, ...] = ()


class TrainingJob(Wire, frozen=True, kw_only=True):
    """One training job."""

    hidden: ClassVar[frozenset[str]] = frozenset({"environment", "user_parameters", "token"})
    same: ClassVar[tuple[tuple[str, ...], ...]] = (("id", "training_job_id"),)

    id: str | None = None
    """The same as `training_job_id`."""

    training_job_id: str | None = None
    """The same as `id`."""

    job_definition_id: str | None = None
    job_definition_version: int | None = None

    status: str = ""
    """`Pending`, `Active`, `Stopped`, `Complete` or `Failed`."""

    status_message: str | None = None
    exec_env: str | None = None
    instance_type: str | None = None
    environment: dict[str, Any] | None = None
    user_parameters: dict[str, Any] | None = None
    datasets: Any = None
    description: str | None = None
    statistics: Any = None
    archived: bool | None = None
    creator: Any = None
    token: str | None = None
    start_time: str | None = None
    completion_time: str | None = None
    created_at: str | None = None
    modified_at: str | None = None


class TrainingJobs(Wire, frozen=True, kw_only=True):
    """A page of training jobs."""

    entries: tuple[TrainingJob, ...] = ()
    offset: int | None = None
    limit: int | None = None
    total: int | None = None


class ArtifactLink(Wire, frozen=True, kw_only=True):
    """Where an archive of results is fetched from."""

    hidden: ClassVar[frozenset[str]] = frozenset({"uri"})

    uri: str | None = None


class TrainingArtifacts(Wire, frozen=True, kw_only=True):
    """What a training job left."""

    complete: ArtifactLink | None = None


class TrainingResult(Wire, frozen=True, kw_only=True):
    """The results of a training job; without artifacts there are none."""

    artifacts: TrainingArtifacts | None = None

    @property
    def uri(self) -> str | None:
        """Where the archive is fetched from; a secret itself."""
        complete = self.artifacts.complete if self.artifacts else None
        return complete.uri if complete else None


class TrainingModel(Wire, frozen=True, kw_only=True):
    """One model."""

    same: ClassVar[tuple[tuple[str, ...], ...]] = (("id", "training_model_id"),)

    id: str | None = None
    """The same as `training_model_id`."""

    training_model_id: str | None = None
    """The same as `id`."""

    job_definition_id: str | None = None
    training_job_id: str | None = None
    user_parameters: dict[str, Any] | None = None
    metrics: Any = None
    description: str | None = None
    archived: bool | None = None
    exec_env: str | None = None
    user: User | None = None
    created_at: str | None = None
    modified_at: str | None = None


class TrainingModels(Wire, frozen=True, kw_only=True):
    """All models of a definition."""

    entries: tuple[TrainingModel, ...] = ()
    total: int | None = None


class Notebook(Wire, frozen=True, kw_only=True):
    """One notebook."""

    same: ClassVar[tuple[tuple[str, ...], ...]] = (("id", "training_notebook_id"),)

    id: str | None = None
    training_notebook_id: str | None = None
    job_definition_id: str | None = None
    name: str | None = None
    description: str | None = None
    status: str = ""
    status_message: str | None = None
    instance_type: str | None = None
    image: str | None = None
    notebook_type: str | None = None
    creator: Any = None
    created_at: str | None = None
    modified_at: str | None = None


class Notebooks(Wire, frozen=True, kw_only=True):
    """All notebooks of a definition."""

    entries: tuple[Notebook, ...] = ()
    offset: int | None = None
    limit: int | None = None
    total: int | None = None
