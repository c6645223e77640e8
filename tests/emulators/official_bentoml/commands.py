"""Runs commands of BentoML's own command line one after the other, in one process.

It reads them as JSON from standard input and tells the exit code and the output of each.
"""

import contextlib
import io
import json
import sys

from bentoml_cli.cli import cli


def run(words: list) -> dict:
    sys.argv = ["bentoml", *words]
    said = io.StringIO()
    code = 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            cli.main(args=words, prog_name="bentoml")
        except SystemExit as end:
            code = end.code or 0
    return {"code": code, "output": said.getvalue()}


json.dump([run(words) for words in json.load(sys.stdin)], sys.stdout)
