"""The provider for ABEJA Platform on an emulator, where things break between two requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import moorage
from moorage import errors
from moorage.errors import Retry
from moorage.plugin import LogQuery, LogTarget, open_source
from moorage_abeja import _mark, _record
from moorage_abeja._at_once import of_each
from moorage_abeja._client import Client
from moorage_abeja._pack import packed
from moorage_conformance.emulators.abeja import AbejaEmulator
from moorage_conformance.faults import Answer, FaultProxy, Reset

MANIFEST = (
    '[artifact]\nname = "shop"\n[service]\napp = "app:app"\n[jobs.count]\nhandler = "app:x"\n'
)


@pytest.fixture(scope="module")
def emulator() -> Iterator[AbejaEmulator]:
    with AbejaEmulator() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def proxy(emulator: AbejaEmulator) -> Iterator[FaultProxy]:
    with FaultProxy(emulator.url) as proxy:
        yield proxy


@pytest.fixture
def cloud(emulator: AbejaEmulator) -> Iterator[moorage.Cloud]:
    with connect(emulator) as cloud:
        yield cloud


def connect(emulator: AbejaEmulator, **settings: Any) -> moorage.Cloud:
    return moorage.connect(provider="abeja", **{**emulator.settings, **settings})


def app(directory: Path, edition: str, manifest: str = MANIFEST) -> Path:
    place = directory / f"app-{edition}"
    place.mkdir()
    (place / "moorage.toml").write_text(manifest)
    (place / "app.py").write_text(f"EDITION = {edition!r}\n")
    return place


@pytest.fixture
def proxied(emulator: AbejaEmulator, proxy: FaultProxy) -> Iterator[moorage.Cloud]:
    proxy.script()
    with connect(emulator, endpoint=proxy.url) as cloud:
        yield cloud
    proxy.script()


@pytest.fixture
def shop(cloud: moorage.Cloud, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Two versions of an app whose name no other test uses."""
    name = f"shop-{abs(hash(request.node.name)) % 10**9}"
    for edition in ("1", "2"):
        cloud.artifacts.push(app(tmp_path, edition), name=name, version=edition)
    return name


def places(cloud: moorage.Cloud, name: str) -> list[Any]:
    """Return the services that have a deployment's name."""
    client: Client = cloud.native
    return [
        service
        for home in client.deployments.get_deployments().entries
        for service in client.services.get_services(home.deployment_id).entries
        if _record.name_of(service) == name
    ]


def endpoints(cloud: moorage.Cloud, service: Any) -> dict[str | None, str | None]:
    client: Client = cloud.native
    found = client.endpoints.get_endpoints(service.deployment_id).entries
    return {endpoint.custom_alias: endpoint.service_id for endpoint in found}


# Asking many --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 3, 50])
def test_many_are_asked_in_order(count: int) -> None:
    """What many things give comes in their order, and the first failure is raised."""
    assert of_each(lambda n: n * n, range(count)) == [n * n for n in range(count)]

    def fail(number: int) -> int:
        if number % 2:
            raise errors.NotFoundError(str(number))
        return number

    if count:
        with pytest.raises(errors.NotFoundError, match=r"^1$"):
            of_each(fail, range(count))


# Replacing ----------------------------------------------------------------------------------------


def test_name_leads_to_the_new_service_first(
    emulator: AbejaEmulator, cloud: moorage.Cloud, shop: str
) -> None:
    """The endpoint is switched once the new service is ready, and only then the old one goes."""
    first = cloud.deployments.deploy(shop, f"{shop}:1").result(timeout=30)
    emulator.forget()
    second = cloud.deployments.deploy(shop, f"{shop}:2").result(timeout=30)
    writes = [r for r in emulator.requests if r.method not in {"GET", "HEAD"}]

    (service,) = places(cloud, shop)
    assert service.service_id == second.revision != first.revision
    assert second.id == first.id
    assert endpoints(cloud, service) == {"default": second.revision}
    assert [r.method for r in writes] == ["POST", "PATCH", "POST", "DELETE"]
    assert [r.target.rpartition("/")[2] for r in writes] == [
        "services",
        "default",
        "stop",
        first.revision,
    ]


@pytest.mark.parametrize("broken", range(1, 13))
@pytest.mark.parametrize("when", ["request", "reply"])
def test_deploy_goes_on_after_a_crash(
    emulator: AbejaEmulator,
    proxied: moorage.Cloud,
    proxy: FaultProxy,
    shop: str,
    broken: int,
    when: str,
) -> None:
    """Whatever request a deploy broke at, another process brings it to its end from the token."""
    cloud = proxied
    name = f"{shop}-{broken}"
    cloud.deployments.deploy(name, f"{shop}:1").result(timeout=30)
    token = cloud.deployments.deploy(name, f"{shop}:2").token
    proxy.script(Reset(when=when, nth=broken, times=50))  # type: ignore[arg-type]  # one of two words
    try:
        with connect(emulator, endpoint=proxy.url, attempts=1) as crashed:
            operation = crashed.resume(token)
            for _ in range(3):
                if operation.done():
                    break
    except errors.UnavailableError:
        pass
    proxy.script()
    served = places(cloud, name)
    leads_to = endpoints(cloud, served[0])[name]
    assert leads_to in {service.service_id for service in served}, "the name led nowhere"
    done = cloud.resume(token).result(timeout=30)

    (service,) = places(cloud, name)
    assert done.artifact == moorage.ArtifactRef(shop, "2")
    assert service.service_id == done.revision
    assert endpoints(cloud, service)[name] == done.revision
    cloud.deployments.delete(name).result(timeout=30)
    assert name not in endpoints(cloud, service)


def test_failed_deploy_rolls_back(emulator: AbejaEmulator, shop: str, tmp_path: Path) -> None:
    """A new service that fails is removed with its last words told, and the old one goes on."""
    with connect(emulator) as cloud:
        first = cloud.deployments.deploy(shop, f"{shop}:1").result(timeout=30)
        operation = cloud.deployments.deploy(shop, f"{shop}:2")
        new = next(s for s in places(cloud, shop) if s.service_id != first.revision)
        emulator.log_service(new.service_id, "it does not fit")
        emulator.fail_service(new.service_id)
        with pytest.raises(errors.OperationFailedError, match="it does not fit"):
            operation.result(timeout=30)
        found = cloud.deployments.get(shop)

        assert (found.state, found.revision) == ("ready", first.revision)
        assert found.artifact == moorage.ArtifactRef(shop, "1")
        assert [s.service_id for s in places(cloud, shop)] == [first.revision]


def test_first_deploy_that_fails_stays(
    emulator: AbejaEmulator, cloud: moorage.Cloud, shop: str
) -> None:
    """The first service of a deployment that fails stays, so that its log can be read."""
    operation = cloud.deployments.deploy(shop, f"{shop}:1")
    (service,) = places(cloud, shop)
    emulator.log_service(service.service_id, "no such module")
    emulator.fail_service(service.service_id)
    with pytest.raises(errors.OperationFailedError):
        operation.result(timeout=30)

    assert cloud.deployments.get(shop).state == "failed"
    assert cloud.logs.tail(f"deployment/{shop}")[-1].message == "no such module"


def test_deploy_of_another_app_moves(cloud: moorage.Cloud, shop: str, tmp_path: Path) -> None:
    """A deployment that gets another app keeps its name and id, and leaves nothing behind."""
    other = cloud.artifacts.push(app(tmp_path, "other"), name=f"{shop}-other")
    first = cloud.deployments.deploy("moving", f"{shop}:1").result(timeout=30)
    before = places(cloud, "moving")[0]
    second = cloud.deployments.deploy("moving", other).result(timeout=30)

    assert second.id == first.id
    assert second.artifact == other.ref
    assert len(places(cloud, "moving")) == 1
    assert "moving" not in endpoints(cloud, before)


def test_cancelled_deploy(cloud: moorage.Cloud, shop: str) -> None:
    """A deploy that is called off leaves what served before."""
    first = cloud.deployments.deploy(shop, f"{shop}:1").result(timeout=30)
    operation = cloud.deployments.deploy(shop, f"{shop}:2")
    operation.cancel()
    with pytest.raises(errors.OperationCancelledError):
        operation.result(timeout=30)

    assert [s.service_id for s in places(cloud, shop)] == [first.revision]


# Lost replies -------------------------------------------------------------------------------------


def test_lost_reply_to_a_deploy(
    emulator: AbejaEmulator, proxy: FaultProxy, cloud: moorage.Cloud, shop: str
) -> None:
    """A service whose reply was lost is found and not made again."""
    proxy.script(Reset(method="POST", path="*/services", when="reply"))
    with connect(emulator, endpoint=proxy.url) as other:
        made = other.deployments.deploy(shop, f"{shop}:1").result(timeout=30)
    proxy.script()

    assert [s.service_id for s in places(cloud, shop)] == [made.revision]


def test_deploy_that_never_arrived(
    emulator: AbejaEmulator, proxy: FaultProxy, cloud: moorage.Cloud, shop: str
) -> None:
    """A deploy that did not arrive says that it can be made again."""
    proxy.script(Answer(method="POST", path="*/services", status=502))
    with (
        connect(emulator, endpoint=proxy.url) as other,
        pytest.raises(errors.UnavailableError) as caught,
    ):
        other.deployments.deploy(shop, f"{shop}:1")
    proxy.script()

    assert caught.value.retry is Retry.SAFE
    assert places(cloud, shop) == []


def test_lost_reply_to_a_job(
    emulator: AbejaEmulator, proxy: FaultProxy, cloud: moorage.Cloud, shop: str
) -> None:
    """A run whose reply was lost is found and not started again."""
    proxy.script(Reset(method="POST", path="*/runs", when="reply"))
    with connect(emulator, endpoint=proxy.url) as other:
        job = other.jobs.submit(f"{shop}:1", "count", input=[1])
    proxy.script()

    listed = [j for j in cloud.jobs.list() if j.artifact == moorage.ArtifactRef(shop, "1")]
    assert [j.id for j in listed] == [job.id]


def test_deploy_is_picked_up(cloud: moorage.Cloud, shop: str) -> None:
    """A deploy whose operation was lost altogether is found again, and goes on from there."""
    cloud.deployments.deploy(shop, f"{shop}:1").result(timeout=30)
    lost = cloud.deployments.deploy(shop, f"{shop}:2")
    driver: Any = cloud._session.driver.deployments
    step = driver.pick_up(shop)
    while step.state == "running":
        step = driver.advance("deployments.deploy", step.native)

    assert [s.service_id for s in places(cloud, shop)] == [step.resource.revision]
    assert lost.result(timeout=30).revision == step.resource.revision
    assert driver.pick_up("no-such-deployment") is None


# What is in place ---------------------------------------------------------------------------------


def test_numbers_change_in_place(emulator: AbejaEmulator, cloud: moorage.Cloud, shop: str) -> None:
    """Another number of instances needs no other service; equal wishes need nothing at all."""
    made = cloud.deployments.deploy(shop, f"{shop}:1", replicas=2).result(timeout=30)
    emulator.forget()
    more = cloud.deployments.update(shop, replicas=3).result(timeout=30)
    again = cloud.deployments.deploy(shop, f"{shop}:1", replicas=3).result(timeout=30)
    writes = [r.method for r in emulator.requests if r.method not in {"GET", "HEAD"}]

    assert writes == ["PATCH"]
    assert more.revision == again.revision == made.revision
    assert more.spec is not None
    assert more.spec.replicas == 3
    assert not cloud.deployments.plan(shop, f"{shop}:1", replicas=3)


def test_scaling_is_passed_on(cloud: moorage.Cloud, shop: str) -> None:
    """Bounds, machine, options and a number reach the platform as its own words."""
    cloud.deployments.deploy(
        shop, f"{shop}:1", min_replicas=2, max_replicas=5, replicas=3, instance_type="cpu-2"
    ).result(timeout=30)
    (service,) = places(cloud, shop)

    assert service.instance_type == "cpu-2"
    assert (service.min_instance_number, service.max_instance_number) == (2, 5)
    assert (service.instance_number, service.enable_autoscale) == (3, True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"env": {"MOORAGE_DEPLOYMENT": "x"}},
        {"instance_type": "huge"},
        {"min_replicas": 0, "max_replicas": 1},
        {"options": {"no_such": 1}},
    ],
)
def test_wrong_wish_is_refused(
    emulator: AbejaEmulator, cloud: moorage.Cloud, shop: str, wrong: dict[str, Any]
) -> None:
    """What the platform cannot do is refused before anything is written."""
    emulator.forget()
    with pytest.raises(errors.InvalidRequestError):
        cloud.deployments.deploy(shop, f"{shop}:1", **wrong)

    assert not [r for r in emulator.requests if r.method not in {"GET", "HEAD"}]


def test_service_that_moorage_did_not_make(cloud: moorage.Cloud, shop: str) -> None:
    """A service of somebody else is a deployment named like its id, and can be replaced."""
    client: Client = cloud.native
    (home,) = [d for d in client.deployments.get_deployments().entries if d.name == shop]
    versions = client.deployments.get_deployment_versions(home.deployment_id).entries
    made = client.services.create_service(home.deployment_id, versions[0].version_id)
    found = cloud.deployments.get(made.service_id)

    assert found.id == found.revision == made.service_id
    assert made.service_id in {d.name for d in cloud.deployments.list()}
    with pytest.raises(errors.InvalidRequestError, match="knows no paths"):
        cloud.deployments.call(made.service_id, "GET", "/predict")
    cloud.deployments.delete(made.service_id).result(timeout=30)


def test_call_finds_the_service_that_took_over(
    emulator: AbejaEmulator, cloud: moorage.Cloud, shop: str
) -> None:
    """A connection that knows the service before calls the one that replaced it meanwhile."""
    with connect(emulator) as other:
        cloud.deployments.deploy(shop, f"{shop}:1").result(timeout=30)
        other.deployments.call(shop, "GET", "/")
        second = cloud.deployments.deploy(shop, f"{shop}:2").result(timeout=30)
        emulator.forget()
        other.deployments.call(shop, "GET", "/")
        called = [r for r in emulator.requests if r.target.startswith("/deployments/")]

    assert called[-1].target.endswith(f"/services/{second.revision}")


def test_call_of_what_is_stopped(cloud: moorage.Cloud, shop: str) -> None:
    """A deployment that is stopped is not called, whatever was known of it before."""
    cloud.deployments.deploy(shop, f"{shop}:1").result(timeout=30)
    cloud.deployments.call(shop, "GET", "/")
    cloud.deployments.stop(shop).result(timeout=30)
    with pytest.raises(errors.ConflictError, match="does not serve"):
        cloud.deployments.call(shop, "GET", "/")


def test_secret_values_are_masked_in_what_is_told(cloud: moorage.Cloud, shop: str) -> None:
    """Values of secrets that a service has are in no result, and not taken for its variables."""
    cloud.secrets.put("masked", {"PASSWORD": "never-to-be-seen", "LEVEL": "from-the-secret"})
    made = cloud.deployments.deploy(
        shop, f"{shop}:1", secrets=["masked"], env={"LEVEL": "from-env"}
    ).result(timeout=30)
    (service,) = places(cloud, shop)

    assert service.user_env_vars["PASSWORD"] == "never-to-be-seen"
    assert service.user_env_vars["LEVEL"] == "from-env"
    assert "never-to-be-seen" not in repr(made) + msgspec.json.encode(made).decode()
    assert made.spec is not None
    assert made.spec.env == {"LEVEL": "from-env"}


# Artifacts ----------------------------------------------------------------------------------------


def test_version_without_its_archive_is_repaired(cloud: moorage.Cloud, tmp_path: Path) -> None:
    """A push that was killed before its archive arrived is made good by the same push."""
    client: Client = cloud.native
    source = open_source(app(tmp_path, "torn"))
    with packed(source) as pack:
        mark = _mark.Mark(digest=pack.digest, service=True)
    home = client.deployments.create_deployment("torn")
    torn = client.deployments.create_deployment_version(
        home.deployment_id,
        "1",
        "moorage_bridge:handler",
        "i",
        user_parameters={_mark.MARK: _mark.written(mark)},
    )
    pushed = cloud.artifacts.push(source, name="torn", version="1")
    pulled = cloud.artifacts.pull(pushed, tmp_path / "back")

    assert torn.version_id not in pushed.id
    assert (pulled / "app.py").read_text() == "EDITION = 'torn'\n"


def test_file_with_a_path_for_a_name_is_refused(cloud: moorage.Cloud, tmp_path: Path) -> None:
    """What somebody noted on a file of the datalake leads to no place outside."""
    client: Client = cloud.native
    (tmp_path / "data.csv").write_text("1\n")
    pushed = cloud.artifacts.push(tmp_path / "data.csv", name="innocent", kind="data", version="1")
    _, channel_id, file_id = pushed.id.split("/")
    mark = _mark.Mark(name="innocent", version="1", file="../../escaped")
    client.datalake.put_channel_file_metadata(
        channel_id, file_id, {"x-abeja-meta-moorage": _mark.written(mark)}
    )
    with pytest.raises(errors.IntegrityError):
        cloud.artifacts.pull("innocent:1", tmp_path / "back")

    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.csv"]


def test_deleted_model_is_archived(cloud: moorage.Cloud, tmp_path: Path) -> None:
    """A model that was deleted is not listed any more, and its name is free."""
    (tmp_path / "weights.pt").write_bytes(b"weights")
    first = cloud.artifacts.push(tmp_path / "weights.pt", name="net", kind="model", version="1")
    cloud.artifacts.delete(first)
    (tmp_path / "weights.pt").write_bytes(b"others")
    second = cloud.artifacts.push(tmp_path / "weights.pt", name="net", kind="model", version="1")
    pulled = cloud.artifacts.pull("net:1", tmp_path / "back")

    assert second.id != first.id
    assert pulled.read_bytes() == b"others"
    assert [a.id for a in cloud.artifacts.list("net")] == [second.id]


@pytest.mark.parametrize("kind", ["app", "model", "data"])
def test_artifact_of_another_provider(cloud: moorage.Cloud, tmp_path: Path, kind: str) -> None:
    """An artifact of another place is not found here, whatever its id looks like."""
    other = moorage.Artifact(id="01jzzzz", name="x", version="1", kind=moorage.ArtifactKind(kind))
    with pytest.raises(errors.NotFoundError):
        cloud.artifacts.pull(other, tmp_path / "back")
    with pytest.raises(errors.NotFoundError):
        cloud.artifacts.delete(other)


def test_all_kinds_in_one_listing(cloud: moorage.Cloud, shop: str, tmp_path: Path) -> None:
    """A listing without a kind has apps, models and data, each once."""
    (tmp_path / "x.bin").write_bytes(b"x")
    data = cloud.artifacts.push(tmp_path / "x.bin", name=f"{shop}-d", kind="data")
    model = cloud.artifacts.push(tmp_path / "x.bin", name=f"{shop}-m", kind="model")
    ids = [artifact.id for artifact in cloud.artifacts.list()]

    assert len(ids) == len(set(ids))
    assert {data.id, model.id, cloud.artifacts.get(f"{shop}:1").id} <= set(ids)


# Jobs, secrets, logs ------------------------------------------------------------------------------


def test_jobs_of_several_apps_are_merged(cloud: moorage.Cloud, shop: str, tmp_path: Path) -> None:
    """Runs of several of the platform's deployments are one list, newest first, over all pages."""
    other = cloud.artifacts.push(app(tmp_path, "more"), name=f"{shop}-more", version="1")
    ids = [
        cloud.jobs.submit(artifact, "count", input=n).id
        for n in range(15)
        for artifact in (f"{shop}:1", other)
    ]
    listed = [job.id for job in cloud.jobs.list() if job.id in ids]

    assert listed == ids[::-1]


def test_limits_of_jobs(cloud: moorage.Cloud, shop: str) -> None:
    """What a run cannot have is refused: ten repetitions, another machine, being cancelled."""
    with pytest.raises(errors.InvalidRequestError):
        cloud.jobs.submit(f"{shop}:1", "count", retries=10)
    with pytest.raises(errors.UnsupportedError):
        cloud.jobs.submit(f"{shop}:1", "count", instance_type="cpu-1")
    job = cloud.jobs.submit(f"{shop}:1", "count")
    with pytest.raises(errors.UnsupportedError, match="no call that ends a run"):
        cloud.jobs.cancel(job)
    run = cloud.native.runs.get_run(*job.id.split(":"))

    assert run.retry_count == 0
    assert cloud.jobs.get(run.run_id).id == job.id


@pytest.mark.parametrize("name", ["a.b", "my-secret", "key-abcdef", "a_b.c-d", "x-12.456"])
def test_any_portable_name_is_a_secret(cloud: moorage.Cloud, name: str) -> None:
    """Names that the platform cannot hold are written in another way, and come back."""
    cloud.secrets.put(name, {"B": "value-of-b", "A": "value-of-a"}, description="what for")
    found = cloud.secrets.get(name)

    assert (found.name, found.keys, found.description) == (name, ("A", "B"), "what for")
    assert name in {secret.name for secret in cloud.secrets.list()}
    assert cloud.secrets.get(name, reveal=True).values["A"].reveal() == "value-of-a"
    cloud.secrets.delete(name)


def test_replaced_values_are_gone(cloud: moorage.Cloud) -> None:
    """A put deletes the versions before its own from the platform."""
    for value in ("first-value", "second-value", "third-value"):
        made = cloud.secrets.put("rotated", {"KEY": value})
    versions = list(cloud.native.secrets.iter_secret_versions(made.id, return_secret_value=True))

    assert [version.reveal().reveal() for version in versions] == ['{"KEY":"third-value"}']


def test_secret_of_somebody_else(cloud: moorage.Cloud) -> None:
    """A secret that moorage did not store has one value, named like a variable."""
    cloud.native.secrets.create_secret("db_url", "postgres://host")
    found = cloud.secrets.get("db_url", reveal=True)

    assert found.keys == ("DB_URL",)
    assert found.values["DB_URL"].reveal() == "postgres://host"


def test_reading_secrets_asks_for_no_values(emulator: AbejaEmulator, cloud: moorage.Cloud) -> None:
    """Names of values are told without asking the platform for a value."""
    cloud.secrets.put("quiet", {"KEY": "some-value"})
    emulator.forget()
    cloud.secrets.get("quiet")
    list(cloud.secrets.list())

    assert not [r for r in emulator.requests if "return_secret_value" in r.target]


def test_log_goes_on_in_the_service_that_took_over(
    emulator: AbejaEmulator, cloud: moorage.Cloud, shop: str
) -> None:
    """A reader that goes on after a replacement gets the new service's log, from its beginning."""
    first = cloud.deployments.deploy(shop, f"{shop}:1").result(timeout=30)
    emulator.log_service(first.revision or "", "before")
    driver = cloud._session.driver.logs
    target = LogTarget(kind="deployment", key=shop)
    assert driver is not None
    page = driver.fetch(target, LogQuery(limit=1))
    second = cloud.deployments.deploy(shop, f"{shop}:2").result(timeout=30)
    emulator.log_service(second.revision or "", "after")
    following = driver.fetch(target, LogQuery(after=page.cursor))
    again = driver.fetch(target, LogQuery(after=following.cursor))

    assert [record.message for record in page.records] == ["before"]
    assert [record.message for record in following.records] == ["service starts", "after"]
    assert again.records == ()
