"""Several at once get what one after the other would."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from moorage.errors import AlreadyExistsError, ConflictError, MoorageError
from moorage.plugin import SecretValue

from .._metadata import requires
from .._subject import PATIENCE_S, Subject
from ..outcomes import Level
from ._base import ANY_FILE, Suite, data_file, look, submit

if TYPE_CHECKING:
    from moorage import Artifact, Cloud, Deployment


class ConcurrencySuite(Suite):
    """Threads that share a connection."""

    resource = "concurrency"
    level = Level.EXTENDED
    creates = ("artifact", "deployment", "job", "secret")

    @requires("secrets.put", "secrets.get", "secrets.reveal")
    def test_threads_share(self, subject: Subject, cloud: "Cloud") -> None:
        """Eight threads on one connection each read what they wrote."""

        def work(number: int) -> bool:
            name = subject.run.name("secret")
            for turn in range(5):
                value = f"value-{number}-{turn}"
                cloud.secrets.put(name, {"KEY": value})
                if cloud.secrets.get(name, reveal=True).values["KEY"] != SecretValue(value):
                    return False
            return True

        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(work, range(8)))

        assert all(results)

    @requires("secrets.put", "secrets.get", "secrets.reveal")
    def test_one_put_wins(self, subject: Subject, cloud: "Cloud") -> None:
        """Of puts that race, one wins whole: its values are never mixed with another's."""
        name = subject.run.name("secret")

        def put(number: int) -> None:
            cloud.secrets.put(name, {"A": f"value-{number}", "B": f"value-{number}"})

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, range(16)))
        values = cloud.secrets.get(name, reveal=True).values

        assert values["A"] == values["B"]

    @requires("artifacts.push", "artifacts.list", ANY_FILE)
    def test_same_push(self, subject: Subject, cloud: "Cloud") -> None:
        """The same content pushed by several at once is stored once."""
        name, path = subject.run.name("artifact"), data_file(subject)

        def push(_: int) -> str:
            return cloud.artifacts.push(path, name=name, kind=subject.kind).id

        with ThreadPoolExecutor(6) as pool:
            ids = set(pool.map(push, range(6)))

        assert len(ids) == 1
        assert len(list(cloud.artifacts.list(name))) == 1

    @requires("artifacts.push", "artifacts.version", "artifacts.open", ANY_FILE)
    def test_version_taken_once(self, subject: Subject, cloud: "Cloud") -> None:
        """Of several contents that race for one version one wins, and the others are told."""
        name = subject.run.name("artifact")

        def push(number: int) -> bytes | None:
            content = f"content {number}".encode()
            try:
                cloud.artifacts.push(
                    data_file(subject, content), name=name, kind=subject.kind, version="1"
                )
            except (AlreadyExistsError, ConflictError):
                return None
            return content

        with ThreadPoolExecutor(6) as pool:
            stored = [content for content in pool.map(push, range(6)) if content is not None]
        with cloud.artifacts.open(f"{name}:1") as stream:
            content = stream.read()

        assert stored == [content]

    @requires("deployments.create", "deployments.deploy", "artifacts.push", "artifacts.kind.app")
    def test_created_once(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """Of several that create one name at once one wins, and the others are told."""
        name = subject.run.name("deployment")

        def create(_: int) -> bool | None:
            try:
                cloud.deployments.create(name, probe).result(timeout=PATIENCE_S)
            except MoorageError as exc:
                return None if isinstance(exc, AlreadyExistsError | ConflictError) else False
            return True

        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(create, range(4)))

        assert sorted(map(str, made)) == ["None", "None", "None", "True"]

    @requires("jobs.submit.artifact", "jobs.input", "jobs.output", "jobs.get")
    def test_jobs_at_once(self, subject: Subject, cloud: "Cloud", probe: "Artifact") -> None:
        """Jobs that are submitted at once each give their own result."""

        def work(number: int) -> object:
            job = submit(subject, probe, "echo", input=number)
            return cloud.jobs.wait(job, timeout=PATIENCE_S).output

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(work, range(6))) == list(range(6))

    @requires("artifacts.push", "artifacts.list", "artifacts.open", ANY_FILE)
    def test_pushes_at_once(self, subject: Subject, cloud: "Cloud") -> None:
        """Artifacts that are pushed at once are all there, each with its own content."""

        def push(number: int) -> bytes:
            name = subject.run.name("artifact")
            path = data_file(subject, f"content {number}".encode() * 1000)
            pushed = cloud.artifacts.push(path, name=name, kind=subject.kind)
            with cloud.artifacts.open(pushed) as stream:
                return stream.read()

        with ThreadPoolExecutor(6) as pool:
            contents = list(pool.map(push, range(12)))

        assert contents == [f"content {number}".encode() * 1000 for number in range(12)]

    @requires("deployments.deploy", "deployments.call", "artifacts.push", "artifacts.kind.app")
    def test_calls_at_once(self, cloud: "Cloud", served: "Deployment") -> None:
        """Calls that are made at once each get the answer to their own question."""

        def call(number: int) -> object:
            return cloud.deployments.call(served, "POST", "/echo", json=number).json()["body"]

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(call, range(40)))

        assert answers == [str(number) for number in range(40)]

    def test_reads_at_once(self, subject: Subject) -> None:
        """Threads that read on one connection all get through, however many they are."""
        with subject.connect() as cloud, ThreadPoolExecutor(40) as pool:
            for done in [pool.submit(look, cloud) for _ in range(120)]:
                done.result(timeout=PATIENCE_S)
