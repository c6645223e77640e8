"""What an emulator of BentoML's cloud holds, without what differs from one to the next."""

import hashlib
import tarfile
from typing import Any

from moorage_conformance.emulators.bentocloud import BentoCloudEmulator


def held(emulator: BentoCloudEmulator) -> dict[str, Any]:
    """Return everything that was made there, without ids and moments."""

    def look() -> dict[str, Any]:
        state = emulator.state
        return {
            "bentos": {each.tag: _artifact(state, each) for each in state.bentos.newest_first()},
            "models": {each.tag: _artifact(state, each) for each in state.models.newest_first()},
            "deployments": {
                f"{cluster}/{name}": _deployment(each)
                for (cluster, name), each in state.deployer.deployments.items()
            },
            "secrets": {
                f"{cluster}/{name}": {
                    "content": each.view()["content"],
                    "description": each.description,
                }
                for (cluster, name), each in state.secrets.secrets.items()
            },
            "tokens": {
                each.name: {"scopes": each.scopes, "description": each.description}
                for each in state.tokens.tokens.values()
            },
        }

    return emulator.call(look)


def _artifact(state: Any, artifact: Any) -> dict[str, Any]:
    stored = state.storage.objects.get(artifact.key)
    files = {}
    if stored is not None:
        with tarfile.open(stored.path) as archive:
            for member in archive:
                if member.isfile():
                    content = archive.extractfile(member).read()
                    name = member.name.removeprefix("./")
                    files[name] = hashlib.sha256(content).hexdigest()
    return {
        "repository": artifact.repository.description,
        "description": artifact.description,
        "labels": artifact.labels,
        "manifest": artifact.manifest,
        "build_at": artifact.build_at.isoformat(),
        "upload": (artifact.upload_status, artifact.upload_reason),
        "files": files,
    }


def _deployment(deployment: Any) -> dict[str, Any]:
    return {
        "status": deployment.status,
        "labels": deployment.labels,
        "routing": deployment.routing,
        "dev": deployment.dev,
        "targets": {
            target.name: {"bento": target.bento.tag, "config": target.config}
            for target in deployment.revision.targets
        },
        "files": {path: content.decode() for path, content in deployment.files.items()},
    }
