"""Calls of the official library against the emulator; prints what each returned, as JSON.

Run by its own Python, with `http_proxy` set to the emulator, so that the organization's host is
reached too.
"""

import io
import json
import sys
import urllib.request
import zipfile

from abeja.datalake import APIClient as DatalakeClient
from abeja.datalake import Client as Datalake
from abeja.datasets import APIClient as DatasetsClient
from abeja.deployments import APIClient as DeploymentsClient
from abeja.endpoints import APIClient as EndpointsClient
from abeja.exceptions import BadRequest, NotFound, Unauthorized
from abeja.notebook import APIClient as NotebookClient
from abeja.registry import APIClient as RegistryClient
from abeja.runs import APIClient as RunsClient
from abeja.secret import APIClient as SecretClient
from abeja.secret_version import APIClient as SecretVersionClient
from abeja.security import APIClient as SecurityClient
from abeja.services import APIClient as ServicesClient
from abeja.training import APIClient as TrainingClient
from abeja.triggers import APIClient as TriggersClient

organization, user, token, archive = sys.argv[1:]
credential = {"user_id": user, "personal_access_token": token}
deployments = DeploymentsClient(credential)
services = ServicesClient(credential)
runs = RunsClient(credential)
endpoints = EndpointsClient(credential)
triggers = TriggersClient(credential)
secrets = SecretClient(credential)
secret_versions = SecretVersionClient(credential)
training = TrainingClient(credential)
datalake = DatalakeClient(credential)
registry = RegistryClient(credential)
notebooks = NotebookClient(credential)
datasets = DatasetsClient(credential)
security = SecurityClient(credential)

told = {}


def refused(kind, call):
    try:
        call()
    except kind as exc:
        return exc.status_code
    return None


# Who calls
bad = ServicesClient({"user_id": user, "personal_access_token": "wrong"})
told["unauthorized"] = refused(Unauthorized, lambda: bad.get_services(organization, "1"))
told["absent"] = refused(NotFound, lambda: services.get_services(organization, "1"))

# A deployment, and a version that is uploaded as documented
deployment = deployments.create_deployment(organization, "iris", "flowers", {"LEVEL": "info"})
deployment_id = deployment["deployment_id"]
told["renamed"] = deployments.patch_deployment(organization, deployment_id, "flowers")["name"]
told["listed"] = [d["name"] for d in deployments.get_deployments(organization)["entries"]]
version = deployments.create_deployment_version(
    organization, deployment_id, "0.0.1", "main:handler", "abeja-inc/all-cpu:19.10", {"A": "1"}
)
version_id = version["version_id"]
with open(archive, "rb") as file:
    put = urllib.request.Request(version["upload_url"], data=file.read(), method="PUT")
    put.add_header("Content-Type", "")
    told["uploaded"] = urllib.request.urlopen(put).status
link = deployments.download_deployment_version(organization, deployment_id, version_id)
with open(archive, "rb") as file, urllib.request.urlopen(link["download_uri"]) as reply:
    told["downloaded"] = file.read() == reply.read()
told["twice"] = refused(
    BadRequest,
    lambda: deployments.create_deployment_version(
        organization, deployment_id, "0.0.1", "main:handler", "i"
    ),
)
told["versions"] = [
    v["version"]
    for v in deployments.get_deployment_versions(organization, deployment_id)["entries"]
]

# A service, its endpoint, calls to both, its log
service = services.create_service(
    organization, deployment_id, version_id, environment={"GREETING": "hello"}
)
service_id = service["service_id"]
told["begun"] = service["status"]
told["state"] = services.get_service(organization, deployment_id, service_id)["status"]
told["environment"] = service["merged_env_vars"]
endpoint = endpoints.create_endpoint(organization, deployment_id, service_id)
told["alias"] = endpoints.get_endpoint(organization, deployment_id, "default") == endpoint
told["answer"] = services.request_service(
    organization, deployment_id, service_id, json={"rows": [1, 2]}
).json()
told["bytes"] = services.request_service(
    organization, deployment_id, service_id, data=b"\x00\x01", content_type="image/png"
).json()
told["running"] = refused(
    BadRequest, lambda: services.start_service(organization, deployment_id, service_id)
)
scaled = services.update_service(
    organization, deployment_id, service_id, {"instance_number": 2, "enable_autoscale": "true"}
)
told["scaled"] = [scaled["instance_number"], scaled["status"]]
log = services.get_service_recent_logs(organization, deployment_id, service_id)
told["log"] = [event["message"] for event in log["events"]]
told["older"] = services.get_service_recent_logs(
    organization, deployment_id, service_id, next_backward_token=log["next_backward_token"]
)["events"]
services.stop_service(organization, deployment_id, service_id)
told["stopped"] = services.get_service(organization, deployment_id, service_id)["status"]
services.start_service(organization, deployment_id, service_id)

# Runs, with input and output in the datalake
channel = datalake.create_channel(organization, "results", "of runs", "datalake")["channel"]
channel_id = channel["channel_id"]
run = runs.create_run(
    organization,
    deployment_id,
    version_id,
    input_data={"rows": [3]},
    output_template={"$datalake:1": channel_id},
    retry_count=0,
)
run_id = run["run_id"]
while True:
    found = runs.get_run(organization, deployment_id, run_id)
    if found["status"] in {"SUCCEEDED", "FAILED"}:
        break
told["run"] = found["status"]
told["runs"] = [
    r["run_id"] == run_id for r in runs.get_runs(organization, deployment_id)["entries"]
]
told["run log"] = [
    event["message"] for event in runs.get_run_logs(organization, deployment_id, run_id)["events"]
]
(output,) = Datalake(organization, credential).get_channel(channel_id).list_files()
told["output"] = [
    output.metadata["filename"] == run_id + "_0.json",
    json.loads(output.get_content()),
]

# Files
uploaded = (
    Datalake(organization, credential)
    .get_channel(channel_id)
    .upload(io.BytesIO(b"some data"), "text/plain", {"filename": "data ü.txt"})
)
told["file"] = [uploaded.metadata["filename"], uploaded.get_content().decode()]
told["deleted"] = datalake.delete_channel_file(channel_id, uploaded.file_id)["message"][:12]

# Triggers
trigger = triggers.create_trigger(
    organization, deployment_id, version_id, "datalake", channel_id, retry_count=1
)
told["trigger"] = triggers.get_triggers(organization, deployment_id)["entries"] == [trigger]
triggers.delete_trigger(organization, deployment_id, trigger["trigger_id"])

# Secrets
secret = secrets.create_secret(organization, "DB_PASSWORD", "s3cret", "of the database")
told["secret"] = secrets.get_secret(organization, secret["id"])["versions"][0]["value"]
secret_versions.create_secret_version(organization, secret["id"], "new")
told["secret versions"] = [
    v["value"] for v in secret_versions.get_secret_versions(organization, secret["id"])["versions"]
]
told["secrets"] = [s["name"] for s in secrets.get_secrets(organization)["secrets"]]
secrets.delete_secret(organization, secret["id"])

# Training and models
training.create_training_job_definition(organization, "train")
packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as source:
    source.writestr("train.py", "def handler(context): pass\n")
packed.seek(0)
training.create_training_job_definition_version_native_api(
    organization, "train", packed, {"handler": "train:handler", "image": "i"}
)
job = training.create_training_job(organization, "train", 1, instance_type="cpu-1")
told["job"] = training.get_training_job(organization, "train", job["training_job_id"])["status"]
told["jobs"] = training.get_training_jobs(organization, "train")["total"]
packed.seek(0)
model = training.create_training_model(organization, "train", packed, {"metrics": {"loss": 0.1}})
told["model"] = training.get_training_models(organization, "train")["entries"][0]["metrics"]
training.archive_training_model(organization, "train", model["training_model_id"])
told["definitions"] = training.get_training_job_definitions(organization)["total"]

# Registry
registry.create_repository(organization, "images")
told["repositories"] = [
    r["name"] for r in registry.get_repositories(organization)["registry_repositories"]
]

# Notebooks
notebook = notebooks.create_notebook(organization, "train", instance_type="cpu-2")
notebook_id = notebook["training_notebook_id"]
told["notebook"] = notebooks.get_notebook(organization, "train", notebook_id)["status"]
told["notebook stopped"] = notebooks.stop_notebook(organization, "train", notebook_id)["status"]
notebooks.start_notebook(organization, "train", notebook_id, notebook_type="lab")
told["notebook log"] = [
    event["message"]
    for event in notebooks.get_notebook_recent_logs(organization, "train", notebook_id)["events"]
]
told["notebooks"] = notebooks.get_notebooks(organization, "train")["total"]
notebooks.update_notebook(organization, "train", notebook_id, image="abeja-inc/all-cpu:20.10")
notebooks.delete_notebook(organization, "train", notebook_id)

# Data sets
dataset = datasets.create_dataset(organization, "demo", "classification", {"categories": []})
dataset_id = dataset["dataset_id"]
told["datasets"] = datasets.list_datasets(organization) == [dataset]
item = datasets.create_dataset_item(organization, dataset_id, [{"data_uri": "datalake://1/f"}])
datasets.bulk_update_dataset_item(
    organization, dataset_id, [{"dataset_item_id": item["dataset_item_id"], "attributes": {"a": 1}}]
)
told["items"] = [
    found["attributes"]
    for found in datasets.list_dataset_items(organization, dataset_id, {"limit": 5})["items"]
]
datasets.delete_dataset_item(organization, dataset_id, item["dataset_item_id"])
datasets.delete_dataset(organization, dataset_id)

# Addresses
cidr = security.create_ip_address(organization, {"description": "x", "cidr": "192.0.2.0/24"})
told["addresses"] = [
    security.get_ip_addresses(organization)["cidrs"] == [cidr],
    security.check_ip_address(organization, {"ip_address": "198.51.100.1"})["accessible"],
]
security.delete_ip_address(organization, cidr["id"])

# And away with it
endpoints.delete_endpoint(organization, deployment_id, "default")
services.delete_service(organization, deployment_id, service_id)
told["service gone"] = refused(
    NotFound, lambda: services.get_service(organization, deployment_id, service_id)
)
deployments.delete_deployment_version(organization, deployment_id, version_id)
told["gone"] = deployments.delete_deployment(organization, deployment_id)["message"]
told["gone"] = told["gone"] == deployment_id + " deleted"

print(json.dumps(told))
