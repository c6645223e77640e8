"""Linear discriminant analysis, which Fisher published together with the iris data.

Each species is taken for a normal distribution around a mean of its own, and all share one
covariance. The logarithm of a species' probability is then a linear function of the measurements,
so that a trained model is one row of weights and one bias for each species.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
LABEL = "species"
LARGEST_CM = 100.0
MOST_ROWS = 10_000

MODEL = Path(__file__).with_name("model.json")

Row = tuple[float, ...]


class Classifier:
    """A trained model."""

    def __init__(
        self, species: Sequence[str], weights: Sequence[Row], biases: Sequence[float]
    ) -> None:
        self.species = tuple(species)
        self.weights = tuple(tuple(row) for row in weights)
        self.biases = tuple(biases)

    @classmethod
    def load(cls, path: Path = MODEL) -> "Classifier":
        model = json.loads(path.read_text("utf-8"))
        return cls(model["species"], model["weights"], model["biases"])

    @classmethod
    def fit(cls, rows: Sequence[Row], labels: Sequence[str]) -> "Classifier":
        """Train on labelled rows, of which each species needs at least two."""
        species = sorted(set(labels))
        groups = [
            [row for row, label in zip(rows, labels, strict=True) if label == name]
            for name in species
        ]
        means = [_mean(group) for group in groups]
        precision = _inverse(_pooled_covariance(groups, means))
        weights = [_product(precision, mean) for mean in means]
        biases = [
            math.log(len(group) / len(rows)) - _dot(row, mean) / 2
            for group, row, mean in zip(groups, weights, means, strict=True)
        ]
        return cls(species, weights, biases)

    def probabilities(self, row: Row) -> dict[str, float]:
        """Return how likely each species is, given the measurements; they add up to 1."""
        scores = [
            bias + _dot(weights, row)
            for weights, bias in zip(self.weights, self.biases, strict=True)
        ]
        best = max(scores)
        likelihoods = [math.exp(score - best) for score in scores]
        total = sum(likelihoods)
        return {
            name: likelihood / total
            for name, likelihood in zip(self.species, likelihoods, strict=True)
        }

    def predict(self, row: Row) -> str:
        """Return the most likely species."""
        probabilities = self.probabilities(row)
        return max(self.species, key=probabilities.__getitem__)

    def accuracy(self, rows: Sequence[Row], labels: Sequence[str]) -> float:
        """Return the share of rows that are predicted right."""
        hits = sum(self.predict(row) == label for row, label in zip(rows, labels, strict=True))
        return hits / len(rows)


# Input --------------------------------------------------------------------------------------------


def check_rows(value: Any) -> list[Row]:
    """Return rows of measurements from a JSON value.

    Raises:
        ValueError: It is anything else; the message says what and where.
    """
    if not isinstance(value, list) or not value:
        raise ValueError("'rows' must be a list of at least one row")
    if len(value) > MOST_ROWS:
        raise ValueError(f"'rows' has {len(value)} rows, and {MOST_ROWS} are the most at a time")
    rows = []
    for index, row in enumerate(value):
        if not isinstance(row, list) or len(row) != len(FEATURES):
            raise ValueError(f"rows[{index}] must be a list of 4 numbers: {', '.join(FEATURES)}")
        rows.append(
            tuple(
                _centimetres(number, f"rows[{index}][{column}]")
                for column, number in enumerate(row)
            )
        )
    return rows


def read_csv(text: str) -> tuple[list[Row], list[str] | None]:
    """Return the rows, and the labels if there is a column of them, of a CSV text with a header.

    Raises:
        ValueError: It is anything else; the message says what and in which line.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in FEATURES if name not in header]
        if missing:
            raise ValueError(f"line 1: the header has no column {', '.join(missing)}")
        columns = [header.index(name) for name in FEATURES]
        label = header.index(LABEL) if LABEL in header else None
        rows, labels = [], []
        for cells in reader:
            if not cells:
                continue
            line = reader.line_num
            if len(cells) != len(header):
                raise ValueError(f"line {line}: {len(cells)} cells under {len(header)} columns")
            rows.append(
                tuple(
                    _centimetres(_number(cells[column]), f"line {line}: {name}")
                    for name, column in zip(FEATURES, columns, strict=True)
                )
            )
            labels.append("" if label is None else cells[label].strip())
    except csv.Error as exc:
        raise ValueError(f"line {reader.line_num}: not CSV: {exc}") from exc
    if not rows:
        raise ValueError("there is no row under the header")
    return rows, None if label is None else labels


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _centimetres(value: Any, where: str) -> float:
    # This refuses truth values, infinities and what is not a number too.
    if type(value) not in {int, float} or not 0 < value <= LARGEST_CM:
        raise ValueError(f"{where} must be centimetres, above 0 and up to {LARGEST_CM:g}")
    return float(value)


# Linear algebra -----------------------------------------------------------------------------------


def _dot(left: Iterable[float], right: Iterable[float]) -> float:
    return math.fsum(a * b for a, b in zip(left, right, strict=True))


def _product(matrix: Sequence[Row], vector: Row) -> Row:
    return tuple(_dot(row, vector) for row in matrix)


def _mean(rows: Sequence[Row]) -> Row:
    return tuple(math.fsum(column) / len(rows) for column in zip(*rows, strict=True))


def _pooled_covariance(groups: Sequence[Sequence[Row]], means: Sequence[Row]) -> list[Row]:
    deviations = [
        [value - middle for value, middle in zip(row, mean, strict=True)]
        for group, mean in zip(groups, means, strict=True)
        for row in group
    ]
    freedom = len(deviations) - len(groups)
    columns = list(zip(*deviations, strict=True))
    return [tuple(_dot(left, right) / freedom for right in columns) for left in columns]


def _inverse(matrix: Sequence[Row]) -> list[Row]:
    """Invert by Gauss and Jordan's elimination, with the largest pivot of each column."""
    size = len(matrix)
    rows = [
        [*row, *(1.0 if column == index else 0.0 for column in range(size))]
        for index, row in enumerate(matrix)
    ]
    for column in range(size):
        pivot = max(range(column, size), key=lambda index: abs(rows[index][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = rows[column][column]
        rows[column] = [value / scale for value in rows[column]]
        for index in range(size):
            if index != column:
                factor = rows[index][column]
                rows[index] = [
                    value - factor * other
                    for value, other in zip(rows[index], rows[column], strict=True)
                ]
    return [tuple(row[size:]) for row in rows]
