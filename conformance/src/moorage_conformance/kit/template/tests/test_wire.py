"""Replies are read tolerantly, and secrets stay secret."""

import re
from pathlib import Path

import msgspec
import pytest
from moorage.errors import AlreadyExistsError, ConflictError, MoorageError, UnavailableError
from moorage.plugin.transport import Failure

from moorage_nimbus import _errors, fake
from moorage_nimbus._errors import CODES, gateway_error, refine
from moorage_nimbus._wire import (
    NewSecret,
    WireArtifact,
    WireDeployment,
    WireJob,
    WireRecord,
    WireSecret,
    to_artifact,
    to_deployment,
    to_job,
    to_operation_state,
    to_record,
    to_secret,
)


def test_new_words_are_unknown() -> None:
    """A state that nobody has met becomes `unknown`, and its own word is kept."""
    deployment = msgspec.json.decode(
        b'{"id": "1", "name": "a", "status": "levitating", "spec": {"artifact": "a:1"}}',
        type=WireDeployment,
    )
    job = msgspec.json.decode(
        b'{"id": "1", "status": "dreaming", "entrypoint": "e", "artifact": "a:1", "new": {}}',
        type=WireJob,
    )
    artifact = msgspec.json.decode(
        b'{"id": "1", "name": "a", "version": "1", "kind": "song", "digest": "sha256:0",'
        b' "size": 1, "status": "melting"}',
        type=WireArtifact,
    )

    assert to_deployment(deployment, "").state == "unknown"
    assert to_deployment(deployment, "").native_state == "levitating"
    assert to_job(job).state == "unknown"
    assert not to_job(job).state.terminal
    assert (to_artifact(artifact).state, to_artifact(artifact).kind) == ("unknown", "data")
    assert to_operation_state("pondering") == "running"


def test_moments_have_an_offset() -> None:
    """A moment without its offset is not guessed at."""
    record = b'{"seq": 1, "time": "2026-01-01T00:00:00%s", "text": "x", "level": "new"}'

    assert to_record(msgspec.json.decode(record % b"Z", type=WireRecord)).level == "unknown"
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(record % b"", type=WireRecord)


def test_secrets_are_not_shown() -> None:
    """Neither what comes nor what goes shows a value when it is printed."""
    wire = WireSecret(id="1", name="db", keys=("KEY",), values={"KEY": "canary"})
    shown = f"{wire!r} {to_secret(wire)!r} {NewSecret(values={'KEY': 'canary'})!r}"

    assert "canary" not in shown
    assert "canary" not in str(to_secret(wire).raw)
    assert to_secret(wire).values["KEY"].reveal() == "canary"


def test_every_code_is_mapped() -> None:
    """Each code that the API refuses with stands in the table, or its status says enough."""
    directory = Path(fake.__file__).parent
    source = "".join(path.read_text() for path in directory.glob("*.py"))
    codes = set(re.findall(r'ApiError\(\s*\d+,\s*"(\w+)"', source))

    assert codes - set(CODES) == {"method", "no_route", "precondition", "unauthenticated"}


def test_codes_win_over_statuses() -> None:
    """A code decides the class and brings its hint; one that is not known changes nothing."""
    taken = Failure(method="PUT", path="/", template="/", status=412, headers={}, code="name_taken")
    new = msgspec.structs.replace(taken, code="unheard_of")

    assert refine(taken).error is AlreadyExistsError
    assert refine(new) == new
    assert refine(msgspec.structs.replace(taken, code="in_use")).hint


@pytest.mark.parametrize(
    ("code", "error"), [("not_serving", ConflictError), ("crashed", UnavailableError)]
)
def test_gateway(code: str, error: type[MoorageError]) -> None:
    """The gateway's refusals are errors, unlike what an app answers."""
    assert type(gateway_error(code, "hello", 502)) is error
    assert _errors.GATEWAY_HEADER
