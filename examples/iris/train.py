"""Train on 120 of the 150 flowers and write the model, and the 30 others to try it on.

Every fifth flower of `iris.csv`, ten of each species, is held out: training never sees it. Which
fifth that is changes the accuracy by a flower or two, so that the average over all five choices
(cross-validation) is reported as well.
"""

import csv
import json
from pathlib import Path

from classifier import FEATURES, LABEL, MODEL, Classifier, Row, read_csv

HERE = Path(__file__).parent
HOLDOUT = HERE / "holdout.csv"
FOLDS = 5


Labelled = tuple[list[Row], list[str]]


def split(rows: list[Row], labels: list[str], *, first: int = 0) -> tuple[Labelled, Labelled]:
    """Return what to train on, and every fifth row from the given one on, which is held out."""
    parts: tuple[Labelled, Labelled] = ([], []), ([], [])
    for index, (row, label) in enumerate(zip(rows, labels, strict=True)):
        part = parts[index % FOLDS == first]
        part[0].append(row)
        part[1].append(label)
    return parts


def cross_validated(rows: list[Row], labels: list[str]) -> float:
    """Return the accuracy on held-out rows, averaged over all choices of these."""
    folds = [split(rows, labels, first=first) for first in range(FOLDS)]
    return sum(Classifier.fit(*train).accuracy(*held) for train, held in folds) / FOLDS


def main() -> None:
    rows, labels = read_csv((HERE / "iris.csv").read_text("utf-8"))
    if labels is None:
        raise SystemExit(f"iris.csv has no column {LABEL}")
    train, held = split(rows, labels)

    classifier = Classifier.fit(*train)
    report = {
        "training_rows": len(train[0]),
        "training_accuracy": classifier.accuracy(*train),
        "holdout_rows": len(held[0]),
        "holdout_accuracy": classifier.accuracy(*held),
        "cross_validated_accuracy": cross_validated(rows, labels),
    }
    model = {
        "method": "linear discriminant analysis",
        "features": FEATURES,
        "species": classifier.species,
        "weights": classifier.weights,
        "biases": classifier.biases,
        **report,
    }
    MODEL.write_text(json.dumps(model, indent=2) + "\n", "utf-8")
    with HOLDOUT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*FEATURES, LABEL])
        writer.writerows([*row, label] for row, label in zip(*held, strict=True))
    for key, value in report.items():
        print(f"{key}: {value:.4g}")


if __name__ == "__main__":
    main()
