"""Figures as people say them."""

from __future__ import annotations

import pytest

from experiments.wording import as_published, countdown, drawn_name, duration, in_units, percent, size
from search_spaces import REFERENCE_NAMES


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1 k"), (385_814_752, "386 M"), (999_999, "1e+03 k"), (1e9, "1 G"),
     (4.2e12, "4.2e+03 G")],
)  # fmt: skip
def test_counts(count: float, text: str) -> None:
    assert in_units(count) == text


def test_each_picture_names_units_its_own_way() -> None:
    assert in_units(1.5e9, "g", giga="G", mega="M", kilo="k") == "1.5G"
    assert in_units(20_000_000, "g", giga="G", mega="M", kilo="k") == "20M"
    assert in_units(2.345e9, giga=" B", kilo=" K") == "2.35 B"
    assert in_units(77_256, giga=" B", kilo=" K") == "77.3 K"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "1 s"), (89, "89 s"), (90, "2 min"), (89 * 60, "89 min"), (5400, "1.5 h"), (3 * 86_400, "3.0 days")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61.4, "1:01"), (3599.6, "1:00:00"), (3723, "1:02:03")])
def test_countdowns(seconds: float, text: str) -> None:
    assert countdown(seconds) == text


def test_sizes_and_accuracies() -> None:
    assert [size(count) for count in (512, 2.5e6, 3e9)] == ["0.512 kB", "2.5 MB", "3 GB"]
    assert (percent(0.4567), percent(0.4567, 0.0123), percent(0.5, 0.0)) == ("45.7 %", "45.7 % ± 1.2", "50.0 %")


def test_every_known_network_has_its_papers_name_in_pictures() -> None:
    written = {name: as_published(name) for name in REFERENCE_NAMES}
    assert all(text != name and "_" not in text for name, text in written.items())
    assert len(set(written.values())) == len(written)
    few = (
        "efficientnet_b0",
        "efficientnet_lite4",
        "mobilenet_v1_025",
        "mobilenet_v3_small",
        "resnet20",
    )
    assert [written[name] for name in few] == [
        "EfficientNet-B0", "EfficientNet-Lite4", "MobileNetV1-0.25", "MobileNetV3-Small", "ResNet-20"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("label", "text"),
    [("baseline", "baseline"), ("mobilenet_v1, pretrained, 96 px", "MobileNetV1, pretrained, 96 px"),
     ("runs: plain_resnet, distilled", "runs: plain ResNet, distilled"), ("my_resnet50.json", "my_resnet50"),
     ("runs/mine, distilled", "mine, distilled"), ("/a/b.json", "b"), ("resnet1202", "ResNet-1202"),
     ('<b>"1"</b> 0', '<b>"1"</b> 0'), ("(1.2, 1.1, 1.15), phi 1", "EfficientNet's (1.2, 1.1, 1.15), phi 1")],
)  # fmt: skip
def test_only_whole_names_are_written_otherwise(label: str, text: str) -> None:
    assert as_published(label) == text


def test_pictures_call_the_baseline_what_it_is_and_nothing_else_so() -> None:
    assert drawn_name("baseline", "baseline") == "this run's network"
    assert drawn_name("run: baseline, distilled", "distilled") == "run: this run's network, distilled"
    assert drawn_name("baseline", "own") == "baseline"
    assert drawn_name("runs/baseline", "given") == "baseline"
