"""The demo app: its data, its model, its service and its job."""

import asyncio
import csv
import json
import math
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage._source import open_source

IRIS = Path(__file__).parents[2] / "examples" / "iris"


class Modules(NamedTuple):
    app: ModuleType
    score: ModuleType
    classifier: ModuleType
    train: ModuleType


@pytest.fixture(scope="module")
def iris() -> Any:
    """The app's modules, which are imported as a server imports them and forgotten afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(IRIS))
        for name in Modules._fields:
            patch.delitem(sys.modules, name, raising=False)
        import importlib

        yield Modules(*(importlib.import_module(name) for name in Modules._fields))
        for name in Modules._fields:
            del sys.modules[name]


def table(name: str) -> list[dict[str, str]]:
    with (IRIS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Data and model -----------------------------------------------------------------------------------


def test_data() -> None:
    """The data are Fisher's: known counts, means and the two flowers that other copies garble."""
    flowers = table("iris.csv")
    columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]

    means = [round(fmean(float(flower[column]) for flower in flowers), 3) for column in columns]

    assert Counter(flower["species"] for flower in flowers) == {
        "setosa": 50,
        "versicolor": 50,
        "virginica": 50,
    }
    assert means == [5.843, 3.057, 3.758, 1.199]
    assert [flowers[34][column] for column in columns] == ["4.9", "3.1", "1.5", "0.2"]
    assert [flowers[37][column] for column in columns] == ["4.9", "3.6", "1.4", "0.1"]


def test_holdout() -> None:
    """The held-out flowers are every fifth, ten of each species."""
    flowers, held = table("iris.csv"), table("holdout.csv")

    assert held == flowers[::5]
    assert set(Counter(flower["species"] for flower in held).values()) == {10}


def test_retrained(tmp_path: Path) -> None:
    """Training again gives the model that lies in the repository, and the accuracy it claims."""
    copy = shutil.copytree(IRIS, tmp_path / "iris")
    (copy / "model.json").unlink()
    (copy / "holdout.csv").unlink()

    subprocess.run([sys.executable, "train.py"], cwd=copy, check=True, capture_output=True)
    again = json.loads((copy / "model.json").read_text())
    kept = json.loads((IRIS / "model.json").read_text())

    assert again.pop("biases") == pytest.approx(kept.pop("biases"), rel=1e-9)
    for row, kept_row in zip(again.pop("weights"), kept.pop("weights"), strict=True):
        assert row == pytest.approx(kept_row, rel=1e-9)
    assert again == kept
    assert (copy / "holdout.csv").read_bytes() == (IRIS / "holdout.csv").read_bytes()
    assert kept["training_rows"] == 120
    assert kept["holdout_accuracy"] == pytest.approx(29 / 30)


def test_readme(iris: Modules) -> None:
    """The README reports the accuracies that are measured."""
    readme = (IRIS / "README.md").read_text()
    rows, labels = iris.classifier.read_csv((IRIS / "iris.csv").read_text())
    (train, held) = iris.train.split(rows, labels)

    model = iris.classifier.Classifier.fit(*train)

    assert f"{model.accuracy(*train):.1%}".replace("%", " %") in readme
    assert f"29 of the 30 held-out ones ({model.accuracy(*held):.1%})".replace("%", " %") in readme
    assert f"{iris.train.cross_validated(rows, labels):.1%}".replace("%", " %") in readme


def test_probabilities(iris: Modules) -> None:
    """The model gives Bayes' probabilities under normal densities with one shared covariance.

    The expected ones are worked out the long way: by the densities themselves, with the
    covariance of the training rows solved for each deviation.
    """
    rows, labels = iris.classifier.read_csv((IRIS / "iris.csv").read_text())
    (train_rows, train_labels), (held, _) = iris.train.split(rows, labels)
    groups = {
        name: [row for row, label in zip(train_rows, train_labels, strict=True) if label == name]
        for name in sorted(set(train_labels))
    }
    means = {
        name: [fmean(column) for column in zip(*group, strict=True)]
        for name, group in groups.items()
    }
    pooled = [
        [
            sum(
                (row[i] - means[name][i]) * (row[j] - means[name][j])
                for name, group in groups.items()
                for row in group
            )
            / 117
            for j in range(4)
        ]
        for i in range(4)
    ]

    for row in held:
        densities = {}
        for name, mean in means.items():
            deviation = [value - middle for value, middle in zip(row, mean, strict=True)]
            distance = sum(
                part * solved
                for part, solved in zip(deviation, solve(pooled, deviation), strict=True)
            )
            densities[name] = math.exp(-distance / 2)
        expected = {name: value / sum(densities.values()) for name, value in densities.items()}

        assert iris.app.model.probabilities(row) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Solve linear equations by Cramer's rule."""
    replaced = [
        [
            [*row[:column], value, *row[column + 1 :]]
            for row, value in zip(matrix, right, strict=True)
        ]
        for column in range(len(right))
    ]
    return [determinant(other) / determinant(matrix) for other in replaced]


def determinant(matrix: list[list[float]]) -> float:
    if not matrix:
        return 1.0
    return sum(
        (-1) ** k * first * determinant([row[:k] + row[k + 1 :] for row in matrix[1:]])
        for k, first in enumerate(matrix[0])
    )


# The service --------------------------------------------------------------------------------------


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    value: Any


def ask(iris: Modules, method: str, path: str, body: bytes = b"", *, parts: int = 1) -> Answer:
    """Send one request by the ASGI protocol, the body in some parts."""
    sent: list[dict[str, Any]] = []
    cut = -(-len(body) // parts) or 1
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)] or [b""]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}
    asyncio.run(iris.app.app(scope, receive, send))
    start, end = sent
    headers = {key.decode(): value.decode() for key, value in start["headers"]}
    content = end["body"]
    return Answer(start["status"], headers, json.loads(content) if content else None)


def test_service(iris: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is healthy, says what it is, and shows of a secret that it is there."""
    monkeypatch.setenv("IRIS_VERSION", "2")
    monkeypatch.setenv("IRIS_API_KEY", "abcdefgh-secret")

    health, info = ask(iris, "GET", "/healthz"), ask(iris, "GET", "/")

    assert (health.status, health.value) == (200, {"status": "ok"})
    assert health.headers["content-type"] == "application/json"
    assert info.value["version"] == "2"
    assert info.value["api_key"] == "ab***"
    assert info.value["species"] == ["setosa", "versicolor", "virginica"]


@pytest.mark.parametrize(("secret", "shown"), [(None, None), ("", None), ("short", "***")])
def test_secret(
    iris: Modules, monkeypatch: pytest.MonkeyPatch, secret: str | None, shown: str | None
) -> None:
    """No secret is told from a short one, of which nothing is shown."""
    monkeypatch.delenv("IRIS_API_KEY", raising=False)
    if secret is not None:
        monkeypatch.setenv("IRIS_API_KEY", secret)

    assert ask(iris, "GET", "/").value["api_key"] == shown


def test_predict(iris: Modules) -> None:
    """Flowers that training did not see are told apart, in the order they are asked about."""
    held = table("holdout.csv")
    rows = [[float(value) for value in list(flower.values())[:4]] for flower in held]

    answer = ask(iris, "POST", "/predict", json.dumps({"rows": rows}).encode(), parts=7)
    predictions = answer.value["predictions"]
    right = sum(
        prediction["species"] == flower["species"]
        for prediction, flower in zip(predictions, held, strict=True)
    )

    assert answer.status == 200
    assert right == 29
    assert all(math.isclose(sum(p["probabilities"].values()), 1) for p in predictions)
    assert all(p["probabilities"][p["species"]] > 0.5 for p in predictions)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must be an object"),
        (b"{}", "'rows' must be a list"),
        (b'{"rows": []}', "at least one row"),
        (b'{"rows": 1}', "'rows' must be a list"),
        (b'{"rows": [[1, 2, 3]]}', "rows[0] must be a list of 4 numbers"),
        (b'{"rows": [[1, 2, 3, 4], [1, 2, 3, "4"]]}', "rows[1][3] must be centimetres"),
        (b'{"rows": [[1, 2, 3, true]]}', "rows[0][3] must be centimetres"),
        (b'{"rows": [[1, 2, 3, NaN]]}', "rows[0][3] must be centimetres"),
        (b'{"rows": [[1, 2, 1e400, 4]]}', "rows[0][2] must be centimetres"),
        (b'{"rows": [[1, 0, 3, 4]]}', "rows[0][1] must be centimetres"),
        (b'{"rows": [[1, -1, 3, 4]]}', "rows[0][1] must be centimetres"),
        (b'{"rows": [[1, 1' + b"0" * 5000 + b", 3, 4]]}", "not JSON"),
        (b'{"rows": [[1, 2, 3, 4]], "raws": 1}', "unknown: 'raws'"),
        (json.dumps({"rows": [[1, 2, 3, 4]] * 10_001}).encode(), "10000 are the most"),
    ],
)
def test_bad_request(iris: Modules, body: bytes, message: str) -> None:
    """What is not rows of lengths is answered with 400 and a reason."""
    answer = ask(iris, "POST", "/predict", body)

    assert answer.status == 400
    assert message in answer.value["error"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["rows", "x"]), inner, max_size=2)
    ),
    max_leaves=10,
)
NUMBERS = st.one_of(st.floats(), st.integers(), st.floats(0.1, 9.9))


@given(JSON | st.fixed_dictionaries({"rows": st.lists(st.lists(NUMBERS, max_size=5), max_size=3)}))
@example({"rows": [[5e-324, 100, 100.0, 5e-324]]})
def test_any_request(iris: Modules, value: Any) -> None:
    """Any JSON value is answered with predictions or with 400, in valid JSON."""
    answer = ask(iris, "POST", "/predict", json.dumps(value).encode())

    assert answer.status in {200, 400}
    assert ("error" in answer.value) == (answer.status == 400)


def test_other_requests(iris: Modules) -> None:
    """Unknown paths, wrong methods and bodies without end are refused as HTTP has it."""
    missing = ask(iris, "GET", "/nothing")
    wrong = ask(iris, "GET", "/predict")
    large = ask(iris, "POST", "/predict", b"x" * ((1 << 20) + 1), parts=3)
    head = ask(iris, "HEAD", "/healthz")

    assert (missing.status, wrong.status, large.status) == (404, 405, 413)
    assert wrong.headers["allow"] == "POST"
    assert (head.status, head.value) == (200, None)
    assert int(head.headers["content-length"]) > 0


def test_log(
    iris: Modules, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request is one line, on stderr if it failed, that cannot be forged and has no secret."""
    monkeypatch.setenv("IRIS_API_KEY", "abcdefgh-secret")
    ask(iris, "GET", "/")
    ask(iris, "GET", "/a\nGET /forged 200")

    out, err = capsys.readouterr()

    assert out.startswith("GET / 200 ")
    assert err.startswith(r"GET /a\nGET /forged 200 404 ")
    assert [len(text.splitlines()) for text in (out, err)] == [1, 1]
    assert "secret" not in out + err


def test_other_protocols(iris: Modules) -> None:
    """The server may start it up and shut it down, and a WebSocket is closed politely."""

    async def talk(kind: str, *messages: str) -> list[str]:
        waiting, sent = list(messages), []

        async def receive() -> dict[str, Any]:
            return {"type": waiting.pop(0)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message["type"])

        await iris.app.app({"type": kind}, receive, send)
        return sent

    lifespan = asyncio.run(talk("lifespan", "lifespan.startup", "lifespan.shutdown"))
    websocket = asyncio.run(talk("websocket", "websocket.connect"))

    assert lifespan == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert websocket == ["websocket.close"]


# The job ------------------------------------------------------------------------------------------


def test_score_csv(iris: Modules, capsys: pytest.CaptureFixture[str]) -> None:
    """A CSV with labels gives predictions, their accuracy and the mistakes, as JSON."""
    result = iris.score.main({"csv": (IRIS / "holdout.csv").read_text()})

    assert json.loads(json.dumps(result)) == result
    assert (result["rows"], len(result["predictions"])) == (30, 30)
    assert sum(result["counts"].values()) == 30
    assert result["accuracy"] == pytest.approx(29 / 30)
    assert [mistake["row"] for mistake in result["mistakes"]] == [14]
    assert capsys.readouterr().out == "scoring 30 rows\n29 of 30 are right\n"


def test_score_rows(iris: Modules) -> None:
    """Rows give predictions, and an accuracy only where labels are given."""
    rows = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]

    plain = iris.score.main({"rows": rows})
    labelled = iris.score.main({"rows": rows, "labels": ["setosa", "setosa"]})

    assert plain["predictions"] == ["setosa", "virginica"]
    assert plain["accuracy"] is None
    assert (labelled["accuracy"], labelled["mistakes"][0]["row"]) == (0.5, 1)


def test_csv_columns(iris: Modules) -> None:
    """Columns are found by name, whatever their order, and others are left alone."""
    text = (
        "\ufeffid, petal_width,petal_length,sepal_width,sepal_length\r\n7,0.2,1.4,3.5,5.1\r\n\r\n"
    )

    rows, labels = iris.classifier.read_csv(text)

    assert (rows, labels) == ([(5.1, 3.5, 1.4, 0.2)], None)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the input must be"),
        ([], "the input must be"),
        ({}, "the input must be"),
        ({"csv": "", "rows": []}, "the input must be"),
        ({"rows": [[1, 2, 3, 4]], "x": 1}, "unknown: 'x'"),
        ({"csv": 1}, "'csv' must be text"),
        ({"csv": ""}, "line 1: the header has no column sepal_length"),
        ({"csv": "sepal_length,sepal_width,petal_length,petal_width\n"}, "no row"),
        ({"csv": "sepal_length,sepal_width,petal_length,petal_width\n1,2,3\n"}, "line 2: 3 cells"),
        (
            {"csv": "sepal_length,sepal_width,petal_length,petal_width\n1,2,3,4\n1,2,3,x\n"},
            "line 3: petal_width must be centimetres",
        ),
        ({"csv": 'sepal_length,sepal_width,petal_length,petal_width\n1,2,3,"4\n'}, "not CSV"),
        ({"rows": [[1, 2, 3, 4]], "labels": ["a", "b"]}, "'labels' must be"),
        ({"rows": [[1, 2, 3, 4]], "labels": [1]}, "'labels' must be"),
    ],
)
def test_bad_input(iris: Modules, value: Any, message: str) -> None:
    """A job's wrong input fails the job with a reason."""
    with pytest.raises(ValueError, match=message):
        iris.score.main(value)


# The app ------------------------------------------------------------------------------------------


def test_portable() -> None:
    """It is an app: what is pushed is what serving and scoring need, and no package."""
    source = open_source(IRIS)

    assert source.app is not None
    assert (source.app.name, source.app.python, source.app.requirements) == ("iris", "3.11", None)
    assert [file.path for file in source.files()] == [
        "README.md",
        "app.py",
        "classifier.py",
        "model.json",
        "moorage.toml",
        "score.py",
    ]
