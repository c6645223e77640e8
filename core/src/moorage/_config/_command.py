"""Running a program that prints a credential."""

import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError
from ._reference import COMMAND_TIMEOUT_S, SECRET_LIMIT_BYTES

_LOOK_S = 0.05


def run_command(
    words: Sequence[str],
    place: str,
    *,
    environment: Mapping[str, str],
    directory: Path | None,
    timeout_s: float = COMMAND_TIMEOUT_S,
) -> bytes:
    """Return what a program prints on its standard output.

    It may ask on the terminal, and reads nothing from standard input, which belongs to the
    command that is running. What it says on standard error may hold part of the credential, so
    that it is shown to nobody.

    Args:
        words: The program and its arguments.
        place: What messages call the setting.
        environment: Its variables.
        directory: Where it runs, so that it does not depend on where the user happens to be.
        timeout_s: How many seconds it may take.

    Raises:
        ConfigError: It cannot be started, fails, takes too long or prints too much.
    """
    program, *arguments = words
    program = os.path.expanduser(program)  # noqa: PTH111  # a bare name must not become a path
    try:
        process = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            cwd=directory,
        )
    except OSError as exc:
        raise ConfigError(
            f"{place}: the program {program!r} cannot be started:"
            f" {exc.strerror or type(exc).__name__}",
            hint="install it, or write its absolute path",
        ) from exc
    with process:
        try:
            output = _output(process, time.monotonic() + timeout_s)
        except BaseException:
            process.kill()
            raise
        if output is None:
            process.kill()
            raise ConfigError(
                f"{place}: the program {program!r} was not done after {timeout_s:g} seconds",
                hint="run it yourself; it may be waiting for something",
            )
        if len(output) > SECRET_LIMIT_BYTES:
            process.kill()
            return output  # the caller refuses it by its length
    if process.returncode != 0:
        how = (
            f"was ended by signal {-process.returncode}"
            if process.returncode < 0
            else f"failed with exit code {process.returncode}"
        )
        raise ConfigError(
            f"{place}: the program {program!r} {how}",
            hint="run it yourself to see why; moorage shows nothing that it prints",
        )
    return output


def _output(process: "subprocess.Popen[bytes]", deadline: float) -> bytes | None:
    """Read until the program is done or has printed too much; `None` when time is over."""
    assert process.stdout is not None  # noqa: S101  # it was asked for
    pipe = process.stdout.fileno()
    output = b""
    is_open = True
    while len(output) <= SECRET_LIMIT_BYTES:
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        # What the program leaves running, an agent for example, may keep the pipe open, so that
        # its own end counts as the end of the output, too.
        ended = process.poll() is not None
        if is_open:
            ready, _, _ = select.select([pipe], [], [], 0 if ended else min(left, _LOOK_S))
            if ready:
                chunk = os.read(pipe, SECRET_LIMIT_BYTES)
                output += chunk
                is_open = bool(chunk)
                continue
        elif not ended:
            try:
                process.wait(left)
            except subprocess.TimeoutExpired:
                return None
            continue
        if ended:
            break
    return output
