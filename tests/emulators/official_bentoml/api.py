"""Uses BentoML's cloud by its Python interface, and tells as JSON what it gave."""

import asyncio
import base64
import json
import sys
import threading
from pathlib import Path

TOLD, sys.stdout = sys.stdout, sys.stderr  # which the client talks on while it works

import bentoml  # noqa: E402
from bentoml.cloud import BentoCloudClient  # noqa: E402

cloud = BentoCloudClient()


def text(value: object) -> str:
    return str(getattr(value, "value", value))


def transfer() -> dict:
    """Push a bento with its model, forget both, and pull them."""
    found = {"before": listing()}
    bentoml.bentos.push("echo:v1")
    bentoml.bentos.push("echo:v1")  # which is there already
    bentoml.bentos.delete("echo:v1")
    bentoml.models.delete("tiny:m1")
    bentoml.bentos.pull("echo:v1")
    bentoml.models.pull("tiny:latest")
    return {**found, "after": listing()}


def listing() -> dict:
    """Return what the two directories in the local store hold."""
    found = {}
    for item in (bentoml.bentos.get("echo:v1"), bentoml.models.get("tiny:m1")):
        for path in sorted(p for p in Path(item.path).rglob("*") if p.is_file()):
            found[f"{item.tag}/{path.relative_to(item.path)}"] = base64.b64encode(
                path.read_bytes()
            ).decode()
    return found


def deployments() -> dict:
    """Go through the life of a deployment."""
    made = bentoml.deployment.create(
        name="web",
        bento="echo:v1",
        scaling_min=2,
        scaling_max=3,
        instance_type="cpu.1",
        strategy="RollingUpdate",
        envs=[{"name": "A", "value": "1"}],
        secrets=["db"],
        access_authorization=True,
    )
    waited = made.wait_until_ready(timeout=60, check_interval=0.05)
    listed = [each.name for each in bentoml.deployment.list()]
    updated = bentoml.deployment.update(name="web", scaling_max=5)
    config = updated.get_config(refetch=True).to_dict()
    applied = bentoml.deployment.apply(
        name="web",
        cluster="default-cluster",
        config_dict={
            "name": "web",
            "bento": "echo:v1",
            "cluster": "default-cluster",
            "services": {"Echo": {"scaling": {"min_replicas": 2}}},
            "canary": {
                "route_type": "random",
                "versions": {"b": {"bento": "echo:v1", "weight": 10}},
            },
        },
    )
    again = cloud.deployment.void_update("web", "default-cluster")
    types = [each.name for each in cloud.deployment.list_instance_types()]
    applied.upload_files([("a.py", b"print(1)\n"), ("b.py", b"")])
    applied.delete_files(["b.py"])
    files = [(each.path, each.size) for each in applied.list_files().files]
    return {
        "waited": waited,
        "listed": listed,
        "urls": made.get_endpoint_urls(),
        "config": config,
        "applied": applied.get_status().status,
        "again": again.get_status(False).status,
        "types": types,
        "files": files,
        "got": bentoml.deployment.get(name="web").to_dict(),
    }


def configure() -> dict:
    """Make a deployment, change it, and make another one with a canary."""
    bentoml.deployment.create(
        name="web",
        bento="echo:v1",
        cluster="default-cluster",
        scaling_min=1,
        scaling_max=3,
        instance_type="cpu.1",
        strategy="RollingUpdate",
        envs=[{"name": "A", "value": "1"}, {"name": "GREETING", "value": "hi"}],
        secrets=["db"],
        access_authorization=True,
    )
    bentoml.deployment.update(name="web", scaling_max=5, envs=[{"name": "A", "value": "2"}])
    bentoml.deployment.create(
        config_dict={
            "name": "split",
            "bento": "echo:v1",
            "labels": [{"key": "team", "value": "wire"}],
            "services": {"Echo": {"scaling": {"min_replicas": 2, "max_replicas": 2}}},
            "canary": {
                "route_type": "header",
                "route_by": "x-user",
                "versions": {"b": {"bento": "echo:v1", "weight": 10, "services": {}}},
            },
        }
    )
    bentoml.deployment.terminate(name="split")
    return {}


def logs() -> dict:
    """Read the logs of all pods to their end."""
    v2 = cloud.deployment._client.v2
    pods = v2.list_deployment_pods("web")
    found = {}
    for pod in pods:
        lines = v2.tail_logs(
            cluster_name="default-cluster",
            namespace=pod.namespace,
            pod_name=pod.name,
            stop_event=threading.Event(),
        )
        found[pod.name] = [base64.b64decode(line).decode() for line in lines]
    builder = v2.get_deployment_image_builder_pod("web")
    return {"lines": found, "builder": text(builder.pod_status.status)}


def end() -> dict:
    """End a deployment and remove it."""
    ended = bentoml.deployment.terminate(name="web")
    bentoml.deployment.delete(name="web")
    try:
        bentoml.deployment.get(name="web")
    except bentoml.exceptions.NotFound as error:
        return {"ended": ended.get_status(False).status, "missing": str(error)}
    return {}


def tasks() -> dict:
    """Call the endpoint of a deployment by the client that it gives."""
    return asyncio.run(call_tasks())


async def call_tasks() -> dict:
    # The one for asyncio, since `submit` of the other fails after it has submitted.
    got = bentoml.deployment.get(name="served").get_async_client(token=sys.argv[2])
    async with got as client:
        task = await client.echo.submit(input={"rows": [1]})
        ended = await status(task)
        again = await task.retry()
        napping = await client.nap.submit(input={"seconds": 600})
        await napping.cancel()
        failing = await client.fail.submit(input=None)
        failed = await status(failing)
        try:
            words = await failing.get()
        except bentoml.exceptions.BentoMLException as error:
            words = str(error)
        return {
            "ready": await client.is_ready(),
            "status": ended,
            "result": await task.get(),
            "again": again.id != task.id,
            "napping": await status(napping),
            "failed": [failed, words],
        }


async def status(task: object) -> str:
    """Return the status of a task once it has ended."""
    while True:
        found = text(await task.get_status())
        if found != "in_progress":
            return found


json.dump({name: globals()[name]() for name in sys.argv[1].split(",")}, TOLD, default=str)
