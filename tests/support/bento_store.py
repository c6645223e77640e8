"""What BentoML keeps on a machine: a store with a bento in it and the model that it needs."""

from pathlib import Path

BENTO = """\
service: service:Echo
name: echo
version: v1
bentoml_version: 1.4.40
creation_time: '2026-01-02T03:04:05.678901+00:00'
labels:
  team: wire
models: []
entry_service: Echo
services:
- name: Echo
  service: ''
  models:
  - tag: tiny:m1
    module: ''
    creation_time: '2026-01-02T03:04:05.678901+00:00'
  dependencies: []
  config:
    traffic:
      timeout: 30
envs:
- name: GREETING
  value: hi
  stage: all
schema:
  name: Echo
  type: service
  routes: []
  paths: {}
args: {}
spec: 2
image:
  base_image: python:3.12-slim
  python_version: '3.12'
  commands: []
  python_requirements: bentoml==1.4.40
  post_commands: []
  build_include: []
"""
MODEL = """\
name: tiny
version: m1
module: ''
labels: {}
options: {}
metadata: {}
context:
  framework_name: ''
  framework_versions: {}
  bentoml_version: 1.4.40
  python_version: 3.12.0
signatures: {}
api_version: v1
creation_time: '2026-01-02T03:04:05.678901+00:00'
"""


def write_store(home: Path) -> Path:
    """Write a store with `echo:v1` and `tiny:m1` into a new directory and return it."""
    bento, model = home / "bentos" / "echo" / "v1", home / "models" / "tiny" / "m1"
    files = {
        bento / "bento.yaml": BENTO,
        bento / "README.md": "# Echo\n",
        bento / "src" / "service.py": "import bentoml\n",
        bento / "env" / "python" / "requirements.txt": "bentoml==1.4.40\n",
        bento.parent / "latest": "v1",
        model / "model.yaml": MODEL,
        model / "weights.bin": "0123456789" * 1000,
        model.parent / "latest": "m1",
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    (home / "tmp").mkdir()
    return home
