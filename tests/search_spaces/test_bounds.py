"""Networks and numbers that cannot be meant: refused by counting, before anything is built."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from search_spaces import ArchSpec, auto_resolution, build_network, count_macs, count_params, reference_arch
from search_spaces.checks import ArchError
from search_spaces.cost import stage_costs

B0 = reference_arch("efficientnet_b0")


@pytest.mark.parametrize("number", [0, -5, True, 1.5, 10**6 + 1, 10**400])
def test_numbers_that_no_network_has_are_refused(number: Any) -> None:
    with pytest.raises(ArchError, match=r"^resolution: must be"):
        count_macs(B0, number)
    with pytest.raises(ArchError, match=r"^resolution: must be"):
        stage_costs(B0, number)
    with pytest.raises(ArchError, match=r"^num_classes: must be"):
        count_params(B0, number)
    with pytest.raises(ArchError, match=r"^native: must be"):
        auto_resolution(number)
    with pytest.raises(ArchError, match="must be"):
        replace(B0, stages=(replace(B0.stages[0], layers=number), *B0.stages[1:]))
    with pytest.raises(ArchError, match="must be"):
        replace(B0, stem=replace(B0.stem, channels=number))


def test_the_archs_own_resolution_is_what_none_means() -> None:
    assert count_macs(B0) == count_macs(B0, B0.resolution) != count_macs(B0, 128)


def huge(**stage: Any) -> ArchSpec:
    return replace(B0, stages=(*B0.stages[:-1], replace(B0.stages[-1], **stage)))


@pytest.mark.parametrize("arch", [huge(layers=1_000_000), huge(channels=1_000_000), huge(layers=20_000)])
def test_what_is_too_large_is_not_built(arch: ArchSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search_spaces.network.Network", None)
    with pytest.raises(ArchError, match="too large to be built"):
        build_network(arch)


def test_a_network_has_no_end_of_stages() -> None:
    with pytest.raises(ArchError, match="stages: must be at most 1000"):
        replace(B0, stages=B0.stages[:1] * 1001)
