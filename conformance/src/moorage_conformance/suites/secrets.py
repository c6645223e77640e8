"""How every provider's secrets behave."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import moorage
from moorage.errors import ConflictError, NotFoundError
from moorage.plugin import SecretValue

from .._metadata import extended, requires
from .._subject import Subject
from ._base import Suite, put_secret

if TYPE_CHECKING:
    from moorage import Artifact, Cloud


class SecretSuite(Suite):
    """Storing secrets, looking them up and deleting them."""

    resource = "secrets"
    needs = ("secrets.put",)
    creates = ("secret",)

    @requires("secrets.get")
    def test_put_and_get(self, subject: Subject, cloud: "Cloud") -> None:
        """A secret is found under its name, with the names of its values and without values."""
        name = put_secret(subject, USER="u-value", PASSWORD="p-value")  # noqa: S106  # thrown away
        found = cloud.secrets.get(name)

        assert found.name == name
        assert found.keys == ("PASSWORD", "USER")
        assert found.values == {}

    def test_put_returns_no_values(self, subject: Subject, cloud: "Cloud") -> None:
        """What `put` returns holds no value."""
        made = cloud.secrets.put(subject.run.name("secret"), {"KEY": "value-of-key"})

        assert made.values == {}
        assert made.keys == ("KEY",)

    @requires("secrets.reveal", "secrets.get")
    def test_reveal(self, subject: Subject, cloud: "Cloud") -> None:
        """Values come back exactly as they were given, when they are asked for."""
        values = {
            "PLAIN": "value",
            "ODD": ' ü日 "quoted" $x `y` \\n\nsecond line ',
            "LONG": "x" * 4000,
        }
        name = put_secret(subject, **values)
        found = cloud.secrets.get(name, reveal=True)

        # Compared as they are: what pytest writes of a difference holds no value then.
        assert found.values == {key: SecretValue(value) for key, value in values.items()}

    @requires("secrets.get")
    def test_put_replaces(self, subject: Subject, cloud: "Cloud") -> None:
        """Putting again replaces all the values and leaves none of the old ones."""
        name = put_secret(subject, OLD="old-value", BOTH="first")
        cloud.secrets.put(name, {"NEW": "new-value", "BOTH": "second"})
        found = cloud.secrets.get(name)

        assert found.keys == ("BOTH", "NEW")

    @requires("secrets.reveal", "secrets.get")
    def test_put_changes_values(self, subject: Subject, cloud: "Cloud") -> None:
        """After a second put the new value is given back."""
        name = put_secret(subject, KEY="first-value")
        cloud.secrets.put(name, {"KEY": "second-value"})

        assert cloud.secrets.get(name, reveal=True).values["KEY"] == SecretValue("second-value")

    @requires("secrets.description", "secrets.get")
    def test_description(self, subject: Subject, cloud: "Cloud") -> None:
        """A description is kept, also by a put that says nothing of it."""
        name = subject.run.name("secret")
        cloud.secrets.put(name, {"KEY": "value-one"}, description="what it is för")
        cloud.secrets.put(name, {"KEY": "value-two"})

        assert cloud.secrets.get(name).description == "what it is för"

    @requires("secrets.list")
    def test_list(self, subject: Subject, cloud: "Cloud") -> None:
        """A listing holds every secret once, by name and without values."""
        names = [put_secret(subject, KEY="some-value") for _ in range(3)]
        listed = list(cloud.secrets.list())

        assert [secret.name for secret in listed if secret.name in names] == sorted(names)
        assert all(secret.values == {} for secret in listed)

    @requires("secrets.get")
    def test_get_absent(self, subject: Subject, cloud: "Cloud") -> None:
        """Looking up what does not exist raises `NotFoundError`, which names it."""
        missing = subject.missing("secret")
        with pytest.raises(NotFoundError) as caught:
            cloud.secrets.get(missing)

        assert caught.value.resource == f"secret/{missing}"

    @requires("secrets.delete", "secrets.get")
    def test_delete(self, subject: Subject, cloud: "Cloud") -> None:
        """What was deleted is gone."""
        name = put_secret(subject, KEY="some-value")
        cloud.secrets.delete(name)

        with pytest.raises(NotFoundError):
            cloud.secrets.get(name)

    @requires("secrets.delete")
    def test_delete_absent(self, subject: Subject, cloud: "Cloud") -> None:
        """Deleting what is gone raises `NotFoundError`, and nothing with `missing_ok`."""
        missing = subject.missing("secret")
        cloud.secrets.delete(missing, missing_ok=True)

        with pytest.raises(NotFoundError):
            cloud.secrets.delete(missing)

    @requires("secrets.delete", "deployments.secrets", "deployments.deploy", "deployments.delete")
    def test_delete_used(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """A secret that a deployment uses is not deleted: `ConflictError`."""
        name = put_secret(subject, USED="some-value")
        deployment = subject.run.name("deployment")
        cloud.deployments.deploy(deployment, probe, secrets=[name]).result(timeout=300)

        with pytest.raises(ConflictError):
            cloud.secrets.delete(name)

    @requires("secrets.get")
    def test_moments(self, subject: Subject, cloud: "Cloud") -> None:
        """Where the provider tells when it was stored, the moment says its offset and is true."""
        before = datetime.now(UTC)
        secret = cloud.secrets.get(put_secret(subject, KEY="some-value"))

        if secret.created_at is not None:
            assert secret.created_at.utcoffset() is not None
            assert abs(secret.created_at - before) < timedelta(minutes=5)

    @requires("secrets.get", "secrets.reveal")
    def test_not_shown(self, subject: Subject, cloud: "Cloud") -> None:
        """The text of a secret, revealed or not, shows none of its values."""
        name = put_secret(subject, KEY="never-to-be-seen")
        found = cloud.secrets.get(name, reveal=True)

        assert isinstance(found.values["KEY"], moorage.SecretValue)
        assert "never-to-be-seen" not in repr(found) + str(found)

    @extended
    @requires("secrets.get")
    def test_many_values(self, subject: Subject, cloud: "Cloud") -> None:
        """A secret holds fifty values."""
        name = put_secret(subject, **{f"KEY_{n:02}": f"value-{n}" for n in range(50)})

        assert len(cloud.secrets.get(name).keys) == 50

    @extended
    @requires("secrets.get")
    def test_seeded(self, subject: Subject, cloud: "Cloud") -> None:
        """What was stored without moorage is found by it."""
        name = subject.seed("secret")
        if name is None:
            pytest.skip("the harness has no other way to store a secret")

        assert cloud.secrets.get(name).name == name
