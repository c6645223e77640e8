"""Training: definitions, the versions of their code, and jobs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from moorage.plugin import Progress
from moorage.plugin.transport import Content, Downloaded, HandleContent

from .._wire import DownloadLink, Message
from .._wire_training import (
    JobDefinition,
    JobDefinitions,
    JobDefinitionVersion,
    JobDefinitionVersions,
    TrainingJob,
    TrainingJobs,
    TrainingResult,
)
from .archives import zipped_files
from .models import DEFINITION, DEFINITIONS, ModelsApi, archive_form
from .noun import archive_filter, check_instance_type, filled, given
from .paging import numbered
from .transfer import fetched

_VERSIONS = f"{DEFINITION}/versions"
_VERSION = f"{_VERSIONS}/{{version_id}}"
_JOBS = f"{DEFINITION}/jobs"
_JOB = f"{_JOBS}/{{training_job_id}}"


class TrainingApi(ModelsApi):
    """The training definitions of an organization, their versions, jobs and models."""

    def create_training_job_definition(
        self, job_definition_name: str, *, organization_id: str | None = None
    ) -> JobDefinition:
        """Create a definition."""
        body = {"name": job_definition_name}
        return self._call("POST", f"{DEFINITIONS}/", JobDefinition, organization_id, json=body)

    def get_training_job_definitions(
        self,
        *,
        filter_archived: bool | None = None,
        offset: int | None = None,
        limit: int | None = None,
        organization_id: str | None = None,
    ) -> JobDefinitions:
        """Return a page of definitions.

        Args:
            filter_archived: Whether to leave out what is archived; by default the platform
                decides.
            offset: How many to leave out.
            limit: At most this many.
            organization_id: By default the client's.
        """
        query = {
            "filter_archived": archive_filter(filter_archived),
            "offset": offset,
            "limit": limit,
        }
        return self._call("GET", f"{DEFINITIONS}/", JobDefinitions, organization_id, query=query)

    def iter_training_job_definitions(
        self, *, filter_archived: bool | None = None, organization_id: str | None = None
    ) -> Iterator[JobDefinition]:
        """Yield all definitions, fetched as they are asked for."""

        def fetch(offset: int) -> tuple[Sequence[JobDefinition], bool]:
            page = self.get_training_job_definitions(
                filter_archived=filter_archived,
                offset=offset or None,
                organization_id=organization_id,
            )
            return page.entries, offset + len(page.entries) < (page.total or 0)

        return numbered(fetch)

    def get_training_job_definition(
        self,
        job_definition_name: str,
        *,
        include_jobs: bool | None = None,
        organization_id: str | None = None,
    ) -> JobDefinition:
        """Return one definition.

        Args:
            job_definition_name: Its name, or its id.
            include_jobs: Whether to tell its jobs, too.
            organization_id: By default the client's.
        """
        # The one truth value that this API writes in lower case.
        query = {"include_jobs": None if include_jobs is None else str(include_jobs).lower()}
        ids = {"job_definition_name": job_definition_name}
        return self._call("GET", DEFINITION, JobDefinition, organization_id, ids, query=query)

    def delete_training_job_definition(
        self, job_definition_name: str, *, organization_id: str | None = None
    ) -> Message:
        """Delete a definition."""
        ids = {"job_definition_name": job_definition_name}
        return self._call("DELETE", DEFINITION, Message, organization_id, ids)

    def archive_training_job_definition(
        self, job_definition_name: str, *, organization_id: str | None = None
    ) -> Message:
        """Put a definition away."""
        ids = {"job_definition_name": job_definition_name}
        return self._call("POST", f"{DEFINITION}/archive", Message, organization_id, ids, json={})

    def unarchive_training_job_definition(
        self, job_definition_name: str, *, organization_id: str | None = None
    ) -> Message:
        """Take a definition out again."""
        ids = {"job_definition_name": job_definition_name}
        return self._call("POST", f"{DEFINITION}/unarchive", Message, organization_id, ids, json={})

    def create_training_job_definition_version(
        self,
        job_definition_name: str,
        filepaths: Mapping[str, str | Path] | Iterable[str | Path],
        handler: str,
        *,
        image: str | None = None,
        environment: Mapping[str, Any] | None = None,
        description: str | None = None,
        progress: Progress | None = None,
        organization_id: str | None = None,
    ) -> JobDefinitionVersion:
        """Create a version of a definition's code from files.

        Args:
            job_definition_name: Whose code.
            filepaths: Files and directories, which get into the archive under their own names; or
                a mapping of the paths that they shall have there.
            handler: `module:function`.
            image: What it runs in.
            environment: Environment variables.
            description: What is new.
            progress: Called with bytes done and bytes in total.
            organization_id: By default the client's.

        Raises:
            InvalidRequestError: Two files would have one name; nothing was sent.
        """
        parameters = {
            "handler": handler,
            **filled(
                image=image,
                environment=dict(environment) if environment else None,
                description=description,
            ),
        }
        paths = (
            {name: Path(path) for name, path in filepaths.items()}
            if isinstance(filepaths, Mapping)
            else filepaths
        )
        with zipped_files(paths) as archive:
            return self._version(
                job_definition_name, archive, parameters, progress, organization_id
            )

    def create_training_job_definition_version_native_api(
        self,
        job_definition_name: str,
        source_code: BinaryIO,
        parameters: Mapping[str, Any],
        *,
        progress: Progress | None = None,
        organization_id: str | None = None,
    ) -> JobDefinitionVersion:
        """Create a version of a definition's code from a zip or tar.gz archive.

        Args:
            job_definition_name: Whose code.
            source_code: The archive, open for reading bytes; it stays open.
            parameters: `handler`, `image`, `environment`, `description`.
            progress: Called with bytes done and bytes in total.
            organization_id: By default the client's.
        """
        archive = HandleContent(source_code)
        return self._version(job_definition_name, archive, parameters, progress, organization_id)

    def create_training_job_definition_version_from_git(
        self,
        job_definition_name: str,
        git_url: str,
        handler: str,
        image: str,
        *,
        git_branch: str | None = None,
        description: str | None = None,
        environment: Mapping[str, Any] | None = None,
        datalakes: Iterable[str] | None = None,
        buckets: Iterable[str] | None = None,
        datasets: Mapping[str, str] | None = None,
        dataset_premounted: bool | None = None,
        organization_id: str | None = None,
    ) -> JobDefinitionVersion:
        """Create a version of what the platform fetches from a git repository."""
        body = {
            "git_url": git_url,
            "handler": handler,
            "image": image,
            **given(
                git_branch=git_branch,
                description=description,
                environment=None if environment is None else dict(environment),
                datalakes=None if datalakes is None else list(datalakes),
                buckets=None if buckets is None else list(buckets),
                datasets=None if datasets is None else dict(datasets),
                dataset_premounted=dataset_premounted,
            ),
        }
        ids = {"job_definition_name": job_definition_name}
        path = f"{DEFINITION}/git/versions"
        return self._call("POST", path, JobDefinitionVersion, organization_id, ids, json=body)

    def get_training_job_definition_versions(
        self,
        job_definition_name: str,
        *,
        filter_archived: bool | None = None,
        organization_id: str | None = None,
    ) -> JobDefinitionVersions:
        """Return all versions of a definition."""
        query = {"filter_archived": archive_filter(filter_archived)}
        ids = {"job_definition_name": job_definition_name}
        return self._call(
            "GET", _VERSIONS, JobDefinitionVersions, organization_id, ids, query=query
        )

    def get_training_job_definition_version(
        self, job_definition_name: str, version_id: int, *, organization_id: str | None = None
    ) -> JobDefinitionVersion:
        """Return one version of a definition."""
        ids = _version_ids(job_definition_name, version_id)
        return self._call("GET", _VERSION, JobDefinitionVersion, organization_id, ids)

    def get_training_job_definition_version_source(
        self, job_definition_name: str, version_id: int, *, organization_id: str | None = None
    ) -> DownloadLink:
        """Return where the code of a version is fetched from."""
        ids = _version_ids(job_definition_name, version_id)
        return self._call("GET", f"{_VERSION}/source", DownloadLink, organization_id, ids)

    def patch_training_job_definition_version(
        self,
        job_definition_name: str,
        version_id: int,
        description: str | None,
        *,
        organization_id: str | None = None,
    ) -> JobDefinitionVersion:
        """Change the description of a version."""
        ids = _version_ids(job_definition_name, version_id)
        body = {"description": description}
        return self._call("PATCH", _VERSION, JobDefinitionVersion, organization_id, ids, json=body)

    def archive_training_job_definition_version(
        self, job_definition_name: str, version_id: int, *, organization_id: str | None = None
    ) -> Message:
        """Put a version away."""
        ids = _version_ids(job_definition_name, version_id)
        return self._call("POST", f"{_VERSION}/archive", Message, organization_id, ids)

    def unarchive_training_job_definition_version(
        self, job_definition_name: str, version_id: int, *, organization_id: str | None = None
    ) -> Message:
        """Take a version out again."""
        ids = _version_ids(job_definition_name, version_id)
        return self._call("POST", f"{_VERSION}/unarchive", Message, organization_id, ids)

    def delete_training_job_definition_version(
        self, job_definition_name: str, version_id: int, *, organization_id: str | None = None
    ) -> Message:
        """Delete a version."""
        ids = _version_ids(job_definition_name, version_id)
        return self._call("DELETE", _VERSION, Message, organization_id, ids)

    def create_training_job(
        self,
        job_definition_name: str,
        version_id: int,
        *,
        user_parameters: Mapping[str, Any] | None = None,
        datasets: Mapping[str, str] | None = None,
        instance_type: str | None = None,
        environment: Mapping[str, Any] | None = None,
        description: str | None = None,
        export_log: bool | None = None,
        organization_id: str | None = None,
    ) -> TrainingJob:
        """Start a training job and return it without waiting for it.

        Args:
            job_definition_name: Whose code.
            version_id: Which version of it.
            user_parameters: The former name of `environment`, which wins where both are given.
            datasets: Data sets by alias.
            instance_type: The machine, `"gpu:b-1"` for example.
            environment: Environment variables.
            description: What it is for.
            export_log: Whether the log becomes part of the results; there is no other way to it.
            organization_id: By default the client's.

        Raises:
            InvalidRequestError: The machine is none; nothing was sent.
        """
        variables = user_parameters if environment is None else environment
        body = given(
            datasets=None if datasets is None else dict(datasets),
            instance_type=check_instance_type(instance_type),
            environment=None if variables is None else dict(variables),
            description=description,
            export_log=export_log,
        )
        ids = _version_ids(job_definition_name, version_id)
        return self._call("POST", f"{_VERSION}/jobs", TrainingJob, organization_id, ids, json=body)

    def get_training_jobs(
        self,
        job_definition_name: str,
        *,
        limit: int | None = None,
        offset: int | None = None,
        filter_archived: bool | None = None,
        organization_id: str | None = None,
    ) -> TrainingJobs:
        """Return a page of a definition's jobs.

        Args:
            job_definition_name: Whose.
            limit: At most this many; by default 10.
            offset: How many to leave out.
            filter_archived: Whether to leave out what is archived; by default the platform
                decides.
            organization_id: By default the client's.
        """
        query = {
            "filter_archived": archive_filter(filter_archived),
            "limit": limit,
            "offset": offset,
        }
        ids = {"job_definition_name": job_definition_name}
        return self._call("GET", _JOBS, TrainingJobs, organization_id, ids, query=query)

    def iter_training_jobs(
        self,
        job_definition_name: str,
        *,
        filter_archived: bool | None = None,
        organization_id: str | None = None,
    ) -> Iterator[TrainingJob]:
        """Yield all jobs of a definition, fetched as they are asked for."""

        def fetch(offset: int) -> tuple[Sequence[TrainingJob], bool]:
            page = self.get_training_jobs(
                job_definition_name,
                offset=offset or None,
                filter_archived=filter_archived,
                organization_id=organization_id,
            )
            return page.entries, offset + len(page.entries) < (page.total or 0)

        return numbered(fetch)

    def get_training_job(
        self, job_definition_name: str, training_job_id: str, *, organization_id: str | None = None
    ) -> TrainingJob:
        """Return one job."""
        ids = _job_ids(job_definition_name, training_job_id)
        return self._call("GET", _JOB, TrainingJob, organization_id, ids)

    def stop_training_job(
        self, job_definition_name: str, training_job_id: str, *, organization_id: str | None = None
    ) -> Message:
        """Ask for the end of a job."""
        ids = _job_ids(job_definition_name, training_job_id)
        return self._call("POST", f"{_JOB}/stop", Message, organization_id, ids)

    def archive_training_job(
        self, job_definition_name: str, training_job_id: str, *, organization_id: str | None = None
    ) -> Message:
        """Put a job away."""
        ids = _job_ids(job_definition_name, training_job_id)
        return self._call("POST", f"{_JOB}/archive", Message, organization_id, ids, json={})

    def unarchive_training_job(
        self, job_definition_name: str, training_job_id: str, *, organization_id: str | None = None
    ) -> Message:
        """Take a job out again."""
        ids = _job_ids(job_definition_name, training_job_id)
        return self._call("POST", f"{_JOB}/unarchive", Message, organization_id, ids, json={})

    def get_training_result(
        self, job_definition_name: str, training_job_id: str, *, organization_id: str | None = None
    ) -> TrainingResult:
        """Return where the results of a job are fetched from; `fetch_training_result` does."""
        ids = _job_ids(job_definition_name, training_job_id)
        return self._call("GET", f"{_JOB}/result", TrainingResult, organization_id, ids)

    def fetch_training_result(
        self,
        job_definition_name: str,
        training_job_id: str,
        destination: Path,
        *,
        progress: Progress | None = None,
        organization_id: str | None = None,
    ) -> Downloaded:
        """Download the archive with the results of a job to a file.

        Raises:
            NotFoundError: The job has none.
        """

        def link() -> str | None:
            return self.get_training_result(
                job_definition_name, training_job_id, organization_id=organization_id
            ).uri

        what = f"training job {training_job_id}"
        return fetched(self._http, link, destination, what=what, progress=progress)

    def update_statistics(
        self,
        job_definition_name: str,
        training_job_id: str,
        statistics: Mapping[str, Any],
        *,
        organization_id: str | None = None,
    ) -> TrainingJob:
        """Tell how far a job is; every value counts, zeros too.

        Args:
            job_definition_name: Whose job.
            training_job_id: Which.
            statistics: `num_epochs`, `epoch`, `progress_percentage` (0 to 1), `stages`, and any
                other key.
            organization_id: By default the client's.
        """
        ids = _job_ids(job_definition_name, training_job_id)
        body = {"statistics": dict(statistics)}
        return self._call(
            "POST", f"{_JOB}/statistics", TrainingJob, organization_id, ids, json=body
        )

    def _version(
        self,
        job_definition_name: str,
        archive: Content,
        parameters: Mapping[str, Any],
        progress: Progress | None,
        organization_id: str | None,
    ) -> JobDefinitionVersion:
        form = archive_form("source_code", archive, parameters)
        options = {} if progress is None else {"progress": progress}
        ids = {"job_definition_name": job_definition_name}
        return self._call(
            "POST", _VERSIONS, JobDefinitionVersion, organization_id, ids, data=form, **options
        )


def _version_ids(job_definition_name: str, version_id: int) -> dict[str, str | int]:
    return {"job_definition_name": job_definition_name, "version_id": version_id}


def _job_ids(job_definition_name: str, training_job_id: str) -> dict[str, str | int]:
    return {"job_definition_name": job_definition_name, "training_job_id": training_job_id}
