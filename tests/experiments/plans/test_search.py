"""What a search is of when little is said: space, bound and epochs, and what the folder holds of them already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.errors import UserError
from experiments.options.settings import Settings
from experiments.plans.search import plan_search
from experiments.records import SpaceFacts
from experiments.run.context import RunContext, open_run
from experiments.run.progress import Narrator
from nas.evaluation import default_epochs

ASKED = {"executor": "inline", "devices": "cpu", "train_images": 64, "target_macs": "300k"}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[RunContext]:
    with open_run("digits", tmp_path, Settings().with_given(ASKED), Narrator()) as run:
        yield run


def asking(run: RunContext, **given: object) -> RunContext:
    return replace(run, settings=Settings().with_given({**ASKED, **given}))


def test_all_networks_of_the_default_space_cost_the_target(opened: RunContext) -> None:
    search = plan_search(opened)
    assert search.space.name == "macro"
    assert search.space.equal_macs == 300_000
    assert search.max_macs is None
    assert plan_search(asking(opened, max_macs="1M")).max_macs is None
    with pytest.raises(UserError, match=r"--max-cost 0.31M: networks .* cost about 0.3 M, at most 1.1 times that"):
        plan_search(asking(opened, max_cost=310e3))
    for bound in ("0.2M", "0.31M"):
        with pytest.raises(
            UserError, match=rf"--max-macs {bound}: networks .* cost about 0.3 M, at most 1.1 times that"
        ):
            plan_search(asking(opened, max_macs=bound))
    assert plan_search(asking(opened, max_macs="200k", space="mnasnet")).max_macs == 200_000


def test_networks_differ_in_size_where_something_else_is_charged_for(opened: RunContext) -> None:
    space = plan_search(asking(opened, cost="params")).space
    assert space.choices[0].name == "size"
    assert space.equal_macs is None


def test_a_folder_keeps_its_space_and_its_epochs(opened: RunContext) -> None:
    assert opened.proxy.epochs == 20  # 64 images
    facts = {"space": SpaceFacts("mnasnet", 300_000, 1)}
    opened.claim("discover", {"epochs": 7}, facts)
    again = asking(opened)
    assert plan_search(again).space.name == "mnasnet"
    assert again.proxy.epochs == 7
    assert plan_search(asking(opened, space="mbconv")).space.name == "mbconv"
    assert asking(opened, epochs=4).proxy.epochs == 4


@pytest.mark.parametrize(
    ("images", "epochs"), [(0, 20), (64, 20), (1400, 20), (4000, 10), (8000, 5), (50_000, 3), (10**6, 3)]
)
def test_few_images_are_shown_more_often(images: int, epochs: int) -> None:
    assert default_epochs(images) == epochs
