"""What is measured, as programs for either client: each prints its seconds as JSON.

What each client loads for its first call is loaded before the clock begins, but for the last one.
Words: the address, the certificate of the server's authority, a file to send, one to receive.
"""

_OFFICIAL_BEGIN = """
import json, os, resource, sys, time
os.environ["ABEJA_API_URL"] = sys.argv[1]
os.environ["REQUESTS_CA_BUNDLE"] = sys.argv[2]
CREDENTIAL = {"user_id": "1", "personal_access_token": "token-0123456789"}
"""
_OURS_BEGIN = """
import json, resource, sys, time
from pathlib import Path
from moorage_abeja import Client
client = Client(
    endpoint=sys.argv[1],
    ca_bundle=sys.argv[2],
    organization_id="1",
    user_id="1",
    personal_access_token="token-0123456789",
)
"""
_FLAT = """
spent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
assert spent < 200, f"{spent} MiB of memory"
"""

_OFFICIAL_CALLS = f"""{_OFFICIAL_BEGIN}
from abeja.services import APIClient
client = APIClient(CREDENTIAL)
client.get_service("1", "2222222222222", "ser-0123456789abcdef")
begun = time.perf_counter()
for _ in range(200):
    client.get_service("1", "2222222222222", "ser-0123456789abcdef")
print(json.dumps((time.perf_counter() - begun) / 200))
"""
_OUR_CALLS = f"""{_OURS_BEGIN}
client.services.get_service("2222222222222", "ser-0123456789abcdef")
begun = time.perf_counter()
for _ in range(200):
    client.services.get_service("2222222222222", "ser-0123456789abcdef")
print(json.dumps((time.perf_counter() - begun) / 200))
"""

OFFICIAL = {
    "one get_service": _OFFICIAL_CALLS,
    "one get_service over HTTPS": _OFFICIAL_CALLS,
    "a log of 100,000 records": f"""{_OFFICIAL_BEGIN}
from abeja.runs import APIClient
client = APIClient(CREDENTIAL)
client.get_run("1", "2222222222222", "run-0123456789abcdef")
begun = time.perf_counter()
count, token = 0, None
while True:
    page = client.get_run_logs("1", "2222222222222", "run-0123456789abcdef", next_token=token)
    count += len(page["events"])
    token = page.get("next_token")
    if not token:
        break
assert count == 100_000, count
print(json.dumps(time.perf_counter() - begun))
""",
    "upload of 1 GiB": f"""{_OFFICIAL_BEGIN}
from abeja.datalake import APIClient
client = APIClient(CREDENTIAL)
client.get_channel("1", "1")
begun = time.perf_counter()
with open(sys.argv[3], "rb") as file:
    client.post_channel_file_upload("1", file, "application/octet-stream")
print(json.dumps(time.perf_counter() - begun))
""",
    "download of 1 GiB": f"""{_OFFICIAL_BEGIN}
from abeja.datalake import Client
channel = Client(organization_id="1", credential=CREDENTIAL).get_channel("1")
begun = time.perf_counter()
content = channel.get_file("file").get_content(cache=False)
with open(sys.argv[4], "wb") as file:
    file.write(content)
print(json.dumps(time.perf_counter() - begun))
os.unlink(sys.argv[4])
""",
    "import and one call": f"""{_OFFICIAL_BEGIN}
from abeja.services import APIClient
APIClient(CREDENTIAL).get_service("1", "2222222222222", "ser-0123456789abcdef")
print("null")
""",
}

OURS = {
    "one get_service": _OUR_CALLS,
    "one get_service over HTTPS": _OUR_CALLS,
    "a log of 100,000 records": f"""{_OURS_BEGIN}
client.runs.get_run("2222222222222", "run-0123456789abcdef")
begun = time.perf_counter()
events = client.runs.iter_run_logs("2222222222222", "run-0123456789abcdef")
assert sum(1 for _ in events) == 100_000
print(json.dumps(time.perf_counter() - begun))
""",
    "upload of 1 GiB": f"""{_OURS_BEGIN}
client.datalake.get_channel("1")
begun = time.perf_counter()
client.datalake.post_channel_file_upload("1", Path(sys.argv[3]), "application/octet-stream")
taken = time.perf_counter() - begun
{_FLAT}
print(json.dumps(taken))
""",
    "download of 1 GiB": f"""{_OURS_BEGIN}
client.datalake.get_channel("1")
begun = time.perf_counter()
client.datalake.fetch_channel_file("1", "file", Path(sys.argv[4]))
taken = time.perf_counter() - begun
{_FLAT}
print(json.dumps(taken))
Path(sys.argv[4]).unlink()
""",
    "import and one call": f"""{_OURS_BEGIN}
client.services.get_service("2222222222222", "ser-0123456789abcdef")
print("null")
""",
}
