"""BentoML's own client on a machine of its own, logged in at an emulator."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bentocloud_wire import Wire
from official import run_official

from moorage_conformance.emulators.bentocloud import BentoCloudEmulator

PROGRAMS = Path(__file__).parents[1] / "emulators" / "official_bentoml"


class Official:
    """BentoML on a machine of its own that is logged in at an emulator."""

    def __init__(self, emulator: BentoCloudEmulator, home: Path) -> None:
        self.emulator = emulator
        self.wire = Wire(emulator)
        self.home = home
        self.env = {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", "COLUMNS": "200"}

    def log_in(self) -> None:
        """Do what a login leaves behind."""
        context = {
            "name": "default",
            "endpoint": self.emulator.url,
            "api_token": self.emulator.token,
            "email": "ada@example.com",
        }
        saved = {"contexts": [context], "current_context_name": "default"}
        (self.home / ".yatai.yaml").write_text(json.dumps(saved), "utf-8")  # which is YAML too

    def bentoml(self, *words: str) -> Any:
        """Run the command itself."""
        return run_official("bentoml", ["bentoml", *words], env=self.env)

    def commands(self, *commands: Sequence[str]) -> list[Any]:
        """Run several commands, each of which must succeed, and return what they said."""
        told = run_official(
            "bentoml",
            ["python", PROGRAMS / "commands.py"],
            env=self.env,
            input=json.dumps([list(words) for words in commands]),
        )
        assert told.returncode == 0, told.stderr
        found = json.loads(told.stdout)
        for words, each in zip(commands, found, strict=True):
            assert each["code"] == 0, (words, each["output"])
        return [each["output"] for each in found]

    def api(self, *steps: str) -> Any:
        """Use the Python interface and return what each step gave."""
        told = run_official(
            "bentoml",
            ["python", PROGRAMS / "api.py", ",".join(steps), self.emulator.token],
            env=self.env,
        )
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)
