"""The tables of README.md about a run, as Markdown, from the run's own files.

    python -m benchmarks.scaling.readme_tables experiments/results/cifar10

Networks of about the same cost stand together, under the one that the run found or grew; the last column is how much
more accurate that one is, with the 95 % interval of differences.csv.
"""

from __future__ import annotations

import sys
from pathlib import Path

from experiments.tables.differences import Difference, differences
from experiments.tables.frontier import FrontierPoint, read_points

NAMES = {
    "baseline": "**found by the search**",
    "plain_resnet": "plain residual blocks",
    "plain_mbconv": "plain inverted bottlenecks",
    "pooled_mbconv": "plain inverted bottlenecks, pooled shortcuts",
    "resnet20": "ResNet-20",
    "efficientnet_b0": "EfficientNet-B0",
    "mnasnet_a1": "MnasNet-A1",
    "mobilenet_v2": "MobileNetV2",
    "shufflenet_v1": "ShuffleNet",
    "resnet18": "ResNet-18",
}


def tables(folder: Path) -> str:
    """Both tables: the baseline beside known networks, and its family beside other ways to grow it."""
    points = read_points(folder / "frontier.csv")
    by_label = {point.label: point for point in points}
    pairs = differences(points)
    baseline = [point for point in points if point.role == "baseline"]
    grown = sorted((point for point in points if point.role == "family"), key=lambda point: point.macs)
    known = table(baseline, [pair for pair in pairs if by_label[pair.other].role == "reference"], by_label)
    scaled = table(grown, [pair for pair in pairs if by_label[pair.other].role == "rival"], by_label)
    return "\n".join([*known, "", *scaled])


def table(own: list[FrontierPoint], pairs: list[Difference], by_label: dict[str, FrontierPoint]) -> list[str]:
    """One block for each of `own`: itself, then what it is compared with, the most accurate first."""
    lines = ["| network | MACs | pixels | test accuracy (sd), n | the first is better by |", "|---|---|---|---|---|"]
    for point in own:
        lines.append(row(point, ""))
        mine = [pair for pair in pairs if pair.label == point.label]
        for pair in sorted(mine, key=lambda pair: pair.gain):
            gap = f"{100 * pair.gain:+.1f} ({100 * pair.low:+.1f} to {100 * pair.high:+.1f})"
            lines.append(row(by_label[pair.other], gap))
    return lines


def row(point: FrontierPoint, gap: str) -> str:
    """One network's line."""
    name = NAMES.get(point.label, point.label if point.role != "family" else f"**found coefficients, {point.label}**")
    accuracy = f"{100 * point.accuracy:.1f} ({100 * point.std:.1f}), {point.n}"
    return f"| {name} | {point.macs / 1e6:.2f} M | {point.resolution} | {accuracy} | {gap} |"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.scaling.readme_tables RUN")
    print(tables(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
