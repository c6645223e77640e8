"""Runs: code versions that work on one input and end."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from .._wire import LogEvent, LogEvents, RecentLogEvents, Run, Runs
from .noun import DEPLOYMENT, Noun, given, moment, recent_query
from .paging import forward, pages

_RUNS = f"{DEPLOYMENT}/runs"
_RUN = f"{_RUNS}/{{run_id}}"


class RunsApi(Noun):
    """The runs of an organization's deployments."""

    def create_run(
        self,
        deployment_id: str,
        version_id: str,
        input_data: Any = None,
        output_template: Any = None,
        *,
        distribution: int | None = None,
        retry_count: int | None = None,
        environment: Mapping[str, str] | None = None,
        model_id: str | None = None,
        organization_id: str | None = None,
    ) -> Run:
        """Start a run and return it without waiting for it.

        Args:
            deployment_id: Whose code.
            version_id: Which version of it.
            input_data: A JSON object for the handler, or `{"$datalake:1": "CHANNEL/FILE"}`;
                an empty object is one.
            output_template: `{"$datalake:1": "CHANNEL"}` for the channel that takes the result.
            distribution: Chooses one of the platform's queues.
            retry_count: How often a failed run is repeated, 0 to 9; by default 5.
            environment: Environment variables.
            model_id: A training model for the handler.
            organization_id: By default the client's.
        """
        body = {
            "version_id": version_id,
            "environment": dict(environment or {}),  # always there
            **given(
                input_data=input_data,
                output_template=output_template or None,  # an empty one names no channel
                models={"alias": model_id} if model_id else None,
                retry_count=retry_count,
                distribution=distribution,
            ),
        }
        ids = {"deployment_id": deployment_id}
        return self._call("POST", _RUNS, Run, organization_id, ids, json=body)

    def get_run(
        self, deployment_id: str, run_id: str, *, organization_id: str | None = None
    ) -> Run:
        """Return one run."""
        ids = {"deployment_id": deployment_id, "run_id": run_id}
        return self._call("GET", _RUN, Run, organization_id, ids)

    def get_runs(
        self,
        deployment_id: str,
        *,
        next_page_token: str | None = None,
        scan_forward: bool | None = None,
        organization_id: str | None = None,
    ) -> Runs:
        """Return a page of runs, the newest first.

        Args:
            deployment_id: Whose.
            next_page_token: From the page before.
            scan_forward: Whether the oldest come first.
            organization_id: By default the client's.
        """
        ids = {"deployment_id": deployment_id}
        query = {"scan_forward": scan_forward, "next_page_token": next_page_token}
        return self._call("GET", _RUNS, Runs, organization_id, ids, query=query)

    def iter_runs(
        self,
        deployment_id: str,
        *,
        scan_forward: bool | None = None,
        organization_id: str | None = None,
    ) -> Iterator[Run]:
        """Yield all runs of a deployment, the newest first, fetched as they are asked for."""

        def fetch(token: str | None) -> tuple[Sequence[Run], str | None]:
            page = self.get_runs(
                deployment_id,
                next_page_token=token,
                scan_forward=scan_forward,
                organization_id=organization_id,
            )
            return page.entries, page.next_page_token

        return pages(fetch)

    def get_run_logs(
        self,
        deployment_id: str,
        run_id: str,
        *,
        next_token: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        organization_id: str | None = None,
    ) -> LogEvents:
        """Return a page of a run's log, oldest first.

        Args:
            deployment_id: Whose run.
            run_id: Which.
            next_token: From the page before; the last page has none.
            start_time: Not older than this.
            end_time: Not newer than this.
            organization_id: By default the client's.
        """
        ids = {"deployment_id": deployment_id, "run_id": run_id}
        query = {
            "next_token": next_token or None,
            "start_time": moment(start_time),
            "end_time": moment(end_time, up=True),
        }
        return self._call("GET", f"{_RUN}/logs", LogEvents, organization_id, ids, query=query)

    def iter_run_logs(
        self,
        deployment_id: str,
        run_id: str,
        *,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        organization_id: str | None = None,
    ) -> Iterator[LogEvent]:
        """Yield a run's log as it is now, oldest first, fetched as it is asked for."""

        def fetch(token: str | None) -> LogEvents:
            return self.get_run_logs(
                deployment_id,
                run_id,
                next_token=token,
                start_time=start_time,
                end_time=end_time,
                organization_id=organization_id,
            )

        return forward(fetch)

    def get_run_recent_logs(
        self,
        deployment_id: str,
        run_id: str,
        *,
        next_forward_token: str | None = None,
        next_backward_token: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        organization_id: str | None = None,
    ) -> RecentLogEvents:
        """Return a page of a run's log, newest first.

        Args:
            deployment_id: Whose run.
            run_id: Which.
            next_forward_token: From another page, for what is newer.
            next_backward_token: From another page, for what is older.
            start_time: Not older than this.
            end_time: Not newer than this.
            organization_id: By default the client's.
        """
        ids = {"deployment_id": deployment_id, "run_id": run_id}
        query = recent_query(next_forward_token, next_backward_token, start_time, end_time)
        return self._call(
            "GET", f"{_RUN}/recentlogs", RecentLogEvents, organization_id, ids, query=query
        )
