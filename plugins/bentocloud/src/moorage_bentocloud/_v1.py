"""The first API as a whole."""

from ._v1_bentos import BentoCalls
from ._v1_deployments import DeploymentCallsV1
from ._v1_models import ModelCalls
from ._v1_organization import OrganizationCalls
from ._v1_secrets import SecretCalls


class V1(OrganizationCalls, BentoCalls, ModelCalls, DeploymentCallsV1, SecretCalls):
    """Every call of the first API.

    Users, organizations and clusters; bentos and models with their repositories and transfers;
    secrets and API tokens; and the deployments that `client.v2` has replaced. What there is none
    of is `None` where the call says so, and a `NotFoundError` elsewhere.
    """
