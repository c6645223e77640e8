"""The manifest of a portable app: what is accepted, and what an error says of what is not."""

import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage._app import AppManifest, JobEntry, ServiceEntry, find_app, read_app
from moorage._artifact import ArtifactKind
from moorage.errors import InvalidRequestError

WHOLE = b"""\
# a comment
[artifact]
name = "iris"
version = "1.0+cpu"
kind = "app"
python = "3.12"
requirements = "deploy/requirements.txt"
exclude = ["data/", "*.ipynb", "!keep.pem"]
labels = { team = "flowers" }

[service]
app = "iris.web:make.app"
health = "/healthz?deep=1"

[jobs.score]
handler = "score:main"

[jobs.re-train_2]
handler = "iris.train:main"

[moorage]
default_profile = "staging"

[moorage.profiles.staging]
anything = [[1]]
"""


def refused(text: str | bytes) -> InvalidRequestError:
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(InvalidRequestError) as caught:
        read_app(content, "app/moorage.toml")
    return caught.value


def outcome_of(content: bytes) -> AppManifest | InvalidRequestError | None:
    try:
        return find_app(content, "moorage.toml")
    except InvalidRequestError as error:
        return error


def test_whole() -> None:
    """Every key is read, and `[moorage]` is nobody's business here."""
    manifest = read_app(WHOLE, "moorage.toml")

    assert manifest == AppManifest(
        name="iris",
        version="1.0+cpu",
        kind=ArtifactKind.APP,
        python="3.12",
        requirements="deploy/requirements.txt",
        exclude=("data/", "*.ipynb", "!keep.pem"),
        labels={"team": "flowers"},
        service=ServiceEntry(app="iris.web:make.app", health="/healthz?deep=1"),
        jobs={
            "score": JobEntry(handler="score:main"),
            "re-train_2": JobEntry(handler="iris.train:main"),
        },
    )
    assert manifest.service is not None
    assert (manifest.service.module, manifest.service.attribute) == ("iris.web", "make.app")
    assert (manifest.jobs["score"].module, manifest.jobs["score"].function) == ("score", "main")


def test_least() -> None:
    """A name is all that an artifact needs."""
    assert read_app(b'artifact = { name = "m", kind = "model" }', "moorage.toml") == AppManifest(
        name="m", kind=ArtifactKind.MODEL
    )


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b'[moorage]\ndefault_profile = "x"\n'])
def test_no_app(content: bytes) -> None:
    """A file that only configures moorage describes no app."""
    assert find_app(content, "moorage.toml") is None
    assert "no [artifact] table" in refused(content).message


# A good manifest with one line changed; the line that is to be named comes first.
@pytest.mark.parametrize(
    ("line", "old", "new", "field", "message", "hint"),
    [
        (2, "[artifact]", "[artefact]", "artefact", "no table or key 'artefact'", "'artifact'"),
        (2, 'name = "iris"', "", "artifact", "[artifact] has no 'name'", 'name = "iris"'),
        (3, '"iris"', '"Iris"', "artifact.name", "'Iris' cannot be the name", "lower-case"),
        (3, '"iris"', "7", "artifact.name", "must be a string, and is a number", '"iris"'),
        (4, '"1.0+cpu"', '"1/0"', "artifact.version", "'1/0' cannot be", "letters, digits"),
        (4, '"1.0+cpu"', "1.0", "artifact.version", "must be a string", 'version = "1.0"'),
        (4, "version", "vresion", "artifact.vresion", "no key 'vresion'", "'version'"),
        (5, '"app"', '"bento"', "artifact.kind", "not a kind of artifact", "'model'"),
        (6, '"3.12"', "3.10", "artifact.python", "is a number", '"3.12"'),
        (6, '"3.12"', '">=3.12"', "artifact.python", "not a Python version", "minor version"),
        (6, '"3.12"', '"3.12.1"', "artifact.python", "not a Python version", "minor version"),
        (6, '"3.12"', '"3.1"', "artifact.python", "too old", "3.12"),
        (7, "deploy/", "../", "artifact.requirements", "'..'", "in the directory"),
        (7, "deploy/", "/etc/", "artifact.requirements", "is absolute", "in the directory"),
        (
            8,
            '["data/", "*.ipynb", "!keep.pem"]',
            '"data/"',
            "artifact.exclude",
            "a list",
            "['data/",
        ),
        (8, '"data/"', "1", "artifact.exclude[0]", "must be a string", "data/"),
        (8, '"*.ipynb"', '"[a"', "artifact.exclude[1]", "matches nothing", ".gitignore"),
        (8, '"*.ipynb"', '"#a"', "artifact.exclude[1]", "comment", ".gitignore"),
        (9, '"flowers"', "3", "artifact.labels.team", "must be a string", 'team = "3"'),
        (9, '{ team = "flowers" }', '"x"', "artifact.labels", "a table", "team"),
        (9, "team =", '"a\\nb" =', r"artifact.labels.'a\nb'", "cannot be kept", "printable"),
        (9, "team =", f"{'k' * 64} =", f"artifact.labels.{'k' * 64}", "cannot be kept", "63"),
        (9, '"flowers"', f"'{'v' * 256}'", "artifact.labels.team", "label 'team'", "255"),
        (12, '"iris.web:make.app"', '"app"', "service.app", "'module:name'", "a colon"),
        (12, '"iris.web:make.app"', '"a/b.py:app"', "service.app", "'module:name'", '"a.b:app"'),
        (12, '"iris.web:make.app"', '"app.py"', "service.app", "'module:name'", '"app:app"'),
        (12, '"iris.web:make.app"', '"a:make()"', "service.app", "'module:name'", "exists once"),
        (12, '"iris.web:make.app"', '"a:class"', "service.app", "'module:name'", "a colon"),
        (11, 'app = "iris.web:make.app"', "", "service", "[service] has no 'app'", "app:app"),
        (13, '"/healthz?deep=1"', '"healthz"', "service.health", "path", '"/healthz"'),
        (13, '"/healthz?deep=1"', '"//evil.example"', "service.health", "path", '"/healthz"'),
        (13, '"/healthz?deep=1"', '"/a/../b"', "service.health", "path", '"/healthz"'),
        (13, '"/healthz?deep=1"', '"/a\\r\\nX: y"', "service.health", "path", '"/healthz"'),
        (13, "health", "helth", "service.helth", "[service] has no key 'helth'", "'health'"),
        (15, "jobs.score", "jobs.Score", "jobs.Score", "cannot be the name of a job", "letter"),
        (15, "jobs.score", 'jobs."a.b"', "jobs.'a.b'", "cannot be the name of a job", "letter"),
        (16, "score:main", "score", "jobs.score.handler", "'module:name'", "score:main"),
        (15, 'handler = "score:main"', "", "jobs.score", "no 'handler'", "score:main"),
        (15, "jobs.score", "jobs.re_train-2", "jobs.re-train_2", "'re_train-2'", "rename"),
        (15, "[jobs.score]", "[job.score]", "job", "no table or key 'job'", "'jobs'"),
    ],
)
def test_refused(line: int, old: str, new: str, field: str, message: str, hint: str) -> None:
    """A wrong key is named with its file, its line and its path, and with what to write instead."""
    text = WHOLE.decode()
    assert old in text
    error = refused(text.replace(old, new, 1))

    expected_line = 18 if field == "jobs.re-train_2" else line
    assert f"app/moorage.toml:{expected_line}: " in error.message
    assert message in error.message
    assert hint in (error.hint or "")
    assert field in error.fields


def test_everything_at_once() -> None:
    """One error tells of every wrong key, in the order of the lines."""
    error = refused('[artifact]\nname = "x"\nkinds = 1\n[service]\nap = "a:b"\n[jobs.a]\n')

    assert list(error.fields) == ["artifact.kinds", "service", "service.ap", "jobs.a"]
    assert [part.split(":")[1] for part in error.message.split("; ")] == ["3", "4", "5", "6"]
    assert "line 3: did you mean 'kind'?" in (error.hint or "")
    assert "line 5: did you mean 'app'?" in (error.hint or "")


@pytest.mark.parametrize("table", ['[service]\napp = "a:b"', '[jobs.a]\nhandler = "a:b"'])
def test_only_apps_run(table: str) -> None:
    """A model or a data set with a service or a job is a misunderstanding."""
    error = refused(f'[artifact]\nname = "m"\nkind = "model"\n{table}\n')

    assert "moorage.toml:4: " in error.message
    assert "belongs to an app" in error.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[artifact]\nname = "a\n', "app/moorage.toml:2: not valid TOML"),
        (b'[artifact]\nname = "a"\nname = "b"\n', "app/moorage.toml:3: not valid TOML"),
        (b"[artifact]\nname = '''a\n", "app/moorage.toml:2: not valid TOML"),
        (b"[artifact]\nname = '\xff'\n", "app/moorage.toml:2: the file is not UTF-8"),
        (b'\xef\xbb\xbf[artifact]\nname = "a"\n', "app/moorage.toml:1: the file begins with"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a = " + b"1" * 100_000, "app/moorage.toml:1: not valid TOML"),
        (b"#" * (1 << 20) + b"\n", "more than any manifest needs"),
    ],
)
def test_not_toml(content: bytes, message: str) -> None:
    """A file that is not TOML is refused with the line where it stops being that."""
    assert message in refused(content).message


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@example(b"[artifact]\nname = 1e400\nexclude = [{}]\n")
@example(b"[artifact]\nname = 1979-05-27\nlabels = []\n[jobs]\n[jobs.''.x]\n")
def test_any_bytes(content: bytes) -> None:
    """No content makes anything but a manifest, nothing, or the one error."""
    outcome = outcome_of(content)

    if isinstance(outcome, InvalidRequestError):
        assert outcome.message.startswith("moorage.toml")
    else:
        assert outcome is None or isinstance(outcome, AppManifest)


KEYS = st.sampled_from(
    ["artifact", "name", "kind", "python", "exclude", "labels", "service", "app", "jobs", "x y"]
)
VALUES = st.recursive(
    st.sampled_from(['"a"', '"a:b"', "1", "1.5", "true", "1979-05-27", '""', '"data"']),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda parts: f"[{', '.join(parts)}]")
        | st.dictionaries(KEYS, inner, max_size=3).map(
            lambda table: "{" + ", ".join(f'"{key}" = {part}' for key, part in table.items()) + "}"
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_values(top: dict[str, str], artifact: dict[str, str]) -> None:
    """Whatever the types of the values are, the error names a line that is there."""
    lines = [f'"{key}" = {value}' for key, value in top.items() if key != "artifact"]
    lines += ["[artifact]", *(f'"{key}" = {value}' for key, value in artifact.items())]
    text = "\n".join(lines)
    tomllib.loads(text)

    outcome = outcome_of(text.encode())

    if isinstance(outcome, InvalidRequestError):
        named = [int(part.split(":")[1]) for part in outcome.message.split("; moorage.toml")]
        assert named == sorted(named)
        assert 1 <= named[0] <= named[-1] <= len(lines)
        assert outcome.fields
    else:
        assert outcome is not None
