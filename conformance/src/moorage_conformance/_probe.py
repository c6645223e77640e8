"""The portable app that the suite deploys: what it answers, and what its jobs do, is known."""

from pathlib import Path

MANIFEST = """\
[artifact]
name = "probe"

[service]
app = "probe_app:app"
health = "/healthz"

[jobs.echo]
handler = "probe_jobs:echo"

[jobs.environment]
handler = "probe_jobs:environment"

[jobs.fail]
handler = "probe_jobs:fail"

[jobs.nap]
handler = "probe_jobs:nap"

[jobs.say]
handler = "probe_jobs:say"
"""

APP = '''\
"""Answers what it was asked; says on standard output what it was told to say."""

import json
import os
from pathlib import Path
from urllib.parse import parse_qs

EDITION = Path(__file__).with_name("edition.txt").read_text().strip()
if EDITION == "broken":
    raise RuntimeError("this app does not start on purpose")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    query = {key: values[-1] for key, values in parse_qs(scope["query_string"].decode()).items()}
    status, answer = 200, {}
    if scope["path"].endswith("/echo"):
        answer = {
            "method": scope["method"],
            "query": query,
            "headers": [[k.decode("latin-1"), v.decode("latin-1")] for k, v in scope["headers"]],
            "body": body.decode("utf-8", "replace"),
        }
    elif scope["path"].endswith("/environment"):
        answer = {"value": os.environ.get(query["name"])}
    elif scope["path"].endswith("/edition"):
        answer = {"edition": EDITION}
    elif scope["path"].endswith("/status"):
        status = int(query["code"])
        if "tag" in query:
            print(query["tag"], 0, flush=True)
    elif scope["path"].endswith("/say"):
        for number in range(int(query["count"])):
            print(query["tag"], number, flush=True)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
'''

JOBS = '''\
"""One job for each thing that a test wants to see."""

import os
import threading


def echo(value=None):
    return value


def environment(value):
    return {name: os.environ.get(name) for name in value["names"]}


def fail(value=None):
    print("about to fail", flush=True)
    raise RuntimeError("this job fails on purpose")


def nap(value):
    print("napping", flush=True)
    threading.Event().wait(value["seconds"])
    return "rested"


def say(value):
    for number in range(value["count"]):
        print(value["tag"], number, flush=True)
    return value["count"]
'''


def write_probe(directory: Path, edition: str = "1") -> Path:
    """Write the app into a new directory and return it.

    Args:
        directory: Where to; it must not exist.
        edition: What `/edition` answers; another edition is another content, and `"broken"` is
            an app that does not start.
    """
    directory.mkdir(parents=True)
    files = {
        "moorage.toml": MANIFEST,
        "probe_app.py": APP,
        "probe_jobs.py": JOBS,
        "edition.txt": f"{edition}\n",
    }
    for name, text in files.items():
        (directory / name).write_text(text, "utf-8")
    return directory
