"""The iris classifier as a batch job: many rows in, predictions and their accuracy out."""

from collections import Counter
from typing import Any

from classifier import Classifier, Row, check_rows, read_csv


def main(input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002  # what it is called in moorage
    """Predict the species of many flowers.

    Args:
        input: `{"csv": "text with a header"}` or `{"rows": [[...], ...]}`, the latter with
            `"labels": [...]` where they are known; in CSV they are the column `species`.

    Returns:
        The predicted species in the order of the rows and how many there are of each; where
        labels are given, the accuracy and the rows (counted from 0) that are predicted wrong.
    """
    rows, labels = _read(input)
    classifier = Classifier.load()
    print(f"scoring {len(rows)} rows", flush=True)
    predictions = [classifier.predict(row) for row in rows]
    result: dict[str, Any] = {
        "rows": len(rows),
        "predictions": predictions,
        "counts": dict(sorted(Counter(predictions).items())),
        "accuracy": None,
    }
    if labels is not None:
        pairs = enumerate(zip(predictions, labels, strict=True))
        mistakes = [
            {"row": index, "predicted": predicted, "label": label}
            for index, (predicted, label) in pairs
            if predicted != label
        ]
        result["accuracy"] = 1 - len(mistakes) / len(rows)
        result["mistakes"] = mistakes
        print(f"{len(rows) - len(mistakes)} of {len(rows)} are right", flush=True)
    return result


def _read(value: Any) -> tuple[list[Row], list[str] | None]:
    if not isinstance(value, dict) or len(value.keys() & {"rows", "csv"}) != 1:
        raise ValueError('the input must be {"csv": "..."} or {"rows": [...]}')
    if unknown := value.keys() - {"rows", "csv", "labels"}:
        raise ValueError(f"unknown: {', '.join(sorted(map(ascii, unknown)))}")
    if "csv" in value:
        if not isinstance(value["csv"], str) or "labels" in value:
            raise ValueError("'csv' must be text; its labels are its column 'species'")
        return read_csv(value["csv"])
    rows, labels = check_rows(value["rows"]), value.get("labels")
    if labels is not None and (
        not isinstance(labels, list)
        or len(labels) != len(rows)
        or not all(isinstance(label, str) for label in labels)
    ):
        raise ValueError("'labels' must be a list of one text for each row")
    return rows, labels
