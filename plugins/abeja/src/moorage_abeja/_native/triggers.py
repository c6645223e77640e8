"""Triggers: a run of each file that arrives in a channel."""

from collections.abc import Iterator, Mapping, Sequence

from moorage.errors import InvalidRequestError

from .._wire import Message, Run, Runs, Trigger, Triggers
from .noun import DEPLOYMENT, Noun, filled, given
from .paging import pages

_TRIGGERS = f"{DEPLOYMENT}/triggers"
_TRIGGER = f"{_TRIGGERS}/{{trigger_id}}"


class TriggersApi(Noun):
    """The triggers of an organization's deployments."""

    def create_trigger(
        self,
        deployment_id: str,
        version_id: str,
        input_service_name: str,
        input_service_id: str,
        *,
        output_service_name: str | None = None,
        output_service_id: str | None = None,
        distribution: int | None = None,
        retry_count: int | None = None,
        environment: Mapping[str, str] | None = None,
        model_id: str | None = None,
        organization_id: str | None = None,
    ) -> Trigger:
        """Create a trigger.

        Args:
            deployment_id: Whose code.
            version_id: Which version of it.
            input_service_name: `"datalake"`.
            input_service_id: The channel whose files are worked on.
            output_service_name: `"datalake"`; only together with `output_service_id`.
            output_service_id: The channel that takes the results.
            distribution: Chooses one of the platform's queues.
            retry_count: How often a failed run is repeated, 0 to 9.
            environment: Environment variables.
            model_id: A training model for the handler.
            organization_id: By default the client's.

        Raises:
            InvalidRequestError: Only half of the output is given.
        """
        output = filled(
            output_service_name=output_service_name, output_service_id=output_service_id
        )
        if len(output) == 1:
            raise InvalidRequestError(
                "the output of a trigger is a service's name and its id",
                hint="pass output_service_name and output_service_id, or neither",
                fields={"output_service_name": "only together with output_service_id"},
            )
        body = {
            "version_id": version_id,
            "input_service_name": input_service_name,
            "input_service_id": input_service_id,
            "environment": None if environment is None else dict(environment),
            **output,
            **given(
                models={"alias": model_id} if model_id else None,
                retry_count=retry_count,
                distribution=distribution,
            ),
        }
        ids = {"deployment_id": deployment_id}
        return self._call("POST", _TRIGGERS, Trigger, organization_id, ids, json=body)

    def get_trigger(
        self, deployment_id: str, trigger_id: str, *, organization_id: str | None = None
    ) -> Trigger:
        """Return one trigger."""
        ids = {"deployment_id": deployment_id, "trigger_id": trigger_id}
        return self._call("GET", _TRIGGER, Trigger, organization_id, ids)

    def get_triggers(self, deployment_id: str, *, organization_id: str | None = None) -> Triggers:
        """Return all triggers of a deployment."""
        ids = {"deployment_id": deployment_id}
        return self._call("GET", _TRIGGERS, Triggers, organization_id, ids)

    def delete_trigger(
        self, deployment_id: str, trigger_id: str, *, organization_id: str | None = None
    ) -> Message:
        """Delete a trigger; its runs stay."""
        ids = {"deployment_id": deployment_id, "trigger_id": trigger_id}
        return self._call("DELETE", _TRIGGER, Message, organization_id, ids)

    def get_trigger_runs(
        self,
        deployment_id: str,
        trigger_id: str,
        *,
        next_page_token: str | None = None,
        scan_forward: bool | None = None,
        organization_id: str | None = None,
    ) -> Runs:
        """Return a page of a trigger's runs, the newest first.

        Args:
            deployment_id: Whose trigger.
            trigger_id: Which.
            next_page_token: From the page before.
            scan_forward: Whether the oldest come first.
            organization_id: By default the client's.
        """
        ids = {"deployment_id": deployment_id, "trigger_id": trigger_id}
        query = {"scan_forward": scan_forward, "next_page_token": next_page_token}
        return self._call("GET", f"{_TRIGGER}/runs", Runs, organization_id, ids, query=query)

    def iter_trigger_runs(
        self,
        deployment_id: str,
        trigger_id: str,
        *,
        scan_forward: bool | None = None,
        organization_id: str | None = None,
    ) -> Iterator[Run]:
        """Yield all runs of a trigger, the newest first, fetched as they are asked for."""

        def fetch(token: str | None) -> tuple[Sequence[Run], str | None]:
            page = self.get_trigger_runs(
                deployment_id,
                trigger_id,
                next_page_token=token,
                scan_forward=scan_forward,
                organization_id=organization_id,
            )
            return page.entries, page.next_page_token

        return pages(fetch)
