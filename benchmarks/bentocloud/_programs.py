"""What is measured, as programs for either client: each prints its seconds as JSON.

The number stands on a line of its own, since the official client draws on the one before.
"""

TOKEN = "token-0123456789"

# Words: the address, then the number of calls, a page's file, a directory.

OFFICIAL = {
    "one get_deployment": """
import json, sys, time
from bentoml._internal.cloud.client import RestApiClient
client = RestApiClient(sys.argv[1], "TOKEN")
client.v2.get_deployment("echo-1")
begun = time.perf_counter()
for _ in range(200):
    client.v2.get_deployment("echo-1")
print("\\n" + json.dumps((time.perf_counter() - begun) / 200))
""",
    "decode of 1,000 deployments": """
import json, sys, time
from bentoml._internal.cloud.schemas.utils import schema_from_object
from bentoml._internal.cloud.schemas.schemasv2 import DeploymentListSchema
body = open(sys.argv[2], "rb").read()
one = {**json.loads(body), "items": json.loads(body)["items"][:1]}
schema_from_object(one, DeploymentListSchema)
begun = time.perf_counter()
found = schema_from_object(json.loads(body), DeploymentListSchema)
taken = time.perf_counter() - begun
assert len(found.items) == 1000
print("\\n" + json.dumps(taken))
""",
    "walk over 10,000 deployments": """
import json, sys, time
import bentoml
from bentoml._internal.cloud import BentoCloudClient
client = BentoCloudClient(api_key="TOKEN", endpoint=sys.argv[1])
begun = time.perf_counter()
found = client.deployment.list()
taken = time.perf_counter() - begun
assert len(found) == 10_000, len(found)
print("\\n" + json.dumps(taken))
""",
    "push of 1 GiB": """
import json, sys, time
import bentoml
begun = time.perf_counter()
bentoml.models.push("big:v1")
print("\\n" + json.dumps(time.perf_counter() - begun))
""",
    "pull of 1 GiB": """
import json, sys, time
import bentoml
begun = time.perf_counter()
bentoml.models.pull("big:there", force=True)
print("\\n" + json.dumps(time.perf_counter() - begun))
bentoml.models.delete("big:there")
""",
    "tail_logs of 200,000 lines": """
import json, sys, threading, time
from bentoml._internal.cloud.client import RestApiClient
client = RestApiClient(sys.argv[1], "TOKEN")
stop = threading.Event()
lines = client.v2.tail_logs(cluster_name="c", namespace="n", pod_name="p", stop_event=stop)
next(lines)
begun = time.perf_counter()
found = sum(1 for _ in lines)  # now and then it loses some: its rate is what is compared
assert 190_000 < found <= 199_999, found
print("\\n" + json.dumps((time.perf_counter() - begun) * 199_999 / found))
""",
    "import and one call": """
import sys
from bentoml._internal.cloud.client import RestApiClient
RestApiClient(sys.argv[1], "TOKEN").v2.get_deployment("echo-1")
print("null")
""",
}

OURS = {
    "one get_deployment": """
import json, sys, time
from moorage_bentocloud import Client
client = Client(token="TOKEN", endpoint=sys.argv[1])
client.v2.get_deployment("echo-1")
begun = time.perf_counter()
for _ in range(200):
    client.v2.get_deployment("echo-1")
print("\\n" + json.dumps((time.perf_counter() - begun) / 200))
""",
    "one get_deployment, portable": """
import json, sys, time
import moorage
cloud = moorage.connect(provider="bentocloud", token="TOKEN", endpoint=sys.argv[1])
cloud.deployments.get("echo-1")
begun = time.perf_counter()
for _ in range(200):
    cloud.deployments.get("echo-1")
print("\\n" + json.dumps((time.perf_counter() - begun) / 200))
""",
    "decode of 1,000 deployments": """
import json, sys, time
from moorage_bentocloud._reply import decode
from moorage_bentocloud.wire import Deployment, Page
body = open(sys.argv[2], "rb").read()
page = json.loads(body)
decode(json.dumps({**page, "items": page["items"][:1]}).encode(), Page[Deployment], "it")
del page
begun = time.perf_counter()
found = decode(body, Page[Deployment], "it")
taken = time.perf_counter() - begun
assert len(found.items) == 1000
print("\\n" + json.dumps(taken))
""",
    "walk over 10,000 deployments": """
import json, sys, time
import moorage
cloud = moorage.connect(provider="bentocloud", token="TOKEN", endpoint=sys.argv[1])
begun = time.perf_counter()
found = sum(1 for _ in cloud.deployments.list())
taken = time.perf_counter() - begun
assert found == 10_000, found
print("\\n" + json.dumps(taken))
""",
    "push of 1 GiB": """
import json, sys, time
import moorage
cloud = moorage.connect(provider="bentocloud", token="TOKEN", endpoint=sys.argv[1])
begun = time.perf_counter()
cloud.artifacts.push(sys.argv[3], name="big", version="v2", kind="model")
print("\\n" + json.dumps(time.perf_counter() - begun))
""",
    "pull of 1 GiB": """
import json, shutil, sys, time
import moorage
from moorage import Artifact
cloud = moorage.connect(provider="bentocloud", token="TOKEN", endpoint=sys.argv[1])
artifact = Artifact(id="1", name="big", version="there", kind="model", digest=sys.argv[4])
begun = time.perf_counter()
path = cloud.artifacts.pull(artifact, sys.argv[5])
print("\\n" + json.dumps(time.perf_counter() - begun))
shutil.rmtree(path)
""",
    "tail_logs of 200,000 lines": """
import json, sys, threading, time
from moorage_bentocloud import Client
client = Client(token="TOKEN", endpoint=sys.argv[1])
stop = threading.Event()
lines = client.v2.tail_logs(cluster_name="c", namespace="n", pod_name="p", stop_event=stop)
next(lines)
begun = time.perf_counter()
assert sum(1 for _ in lines) == 199_999
print("\\n" + json.dumps(time.perf_counter() - begun))
""",
    "import and one call": """
import sys
from moorage_bentocloud import Client
Client(token="TOKEN", endpoint=sys.argv[1]).v2.get_deployment("echo-1")
print("null")
""",
}

# How many lines a server puts into a message is not known: both clients are measured with one and
# with many. The name of the pod says how many. A call is measured with all that comes before its
# first line, once in a process that has made another call, since a pod has to be looked up before
# its log can be asked for, and once in one that has not.
_TAIL = "tail_logs of 200,000 lines"
for _programs in (OFFICIAL, OURS):
    _many = _programs[_TAIL].replace('pod_name="p"', 'pod_name="many"')
    _first = _many.replace("next(lines)\nbegun = time.perf_counter()\n", "").replace(
        "199_999", "200_000"
    )
    _first = _first.replace("lines = client", "begun = time.perf_counter()\nlines = client")
    _programs[f"{_TAIL}, 50 a message"] = _many
    _programs[f"{_TAIL}, from the call"] = _first.replace(
        "stop = ", 'client.v2.get_deployment("echo-1")\nstop = '
    )
    _programs[f"{_TAIL}, the first call"] = _first
