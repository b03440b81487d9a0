"""Parts of a trained network begin with its weights: exactly where nothing that counts is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from search_spaces import ArchError, ArchSpec, HeadSpec, StageSpec, StemSpec, build_network, count_macs
from search_spaces.network import Gate, Network, classifier_name
from search_spaces.spaces.around import around_space
from search_spaces.weights.inherit import inherit

PARENTS = {
    "mbconv": ArchSpec(
        (StageSpec(channels=8), StageSpec(expand=4, channels=12, stride=2, layers=3, se=0.25, kernel=5)),
        StemSpec(12), HeadSpec(24), 32, activation="silu",
    ),
    "sepconv": ArchSpec(
        (StageSpec("sepconv", channels=16, skip="none"), StageSpec("sepconv", channels=20, stride=2, layers=2)),
        StemSpec(8), HeadSpec(0), 32, activation="relu6",
    ),
    "basic": ArchSpec(
        (StageSpec("basic", channels=8), StageSpec("basic", channels=16, stride=2, layers=2, skip="pool")),
        StemSpec(8), HeadSpec(0), 32, activation="relu",
    ),
}  # fmt: skip
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def trained(arch: ArchSpec, seed: int = 0) -> Network:
    """A network with weights and statistics unlike those of a fresh one."""
    torch.manual_seed(seed)
    network = build_network(arch, 5).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            for statistics, low, high in ((module.running_mean, -1, 1), (module.running_var, 0.5, 2)):
                assert statistics is not None
                nn.init.uniform_(statistics, low, high)
    return network


def heir(arch: ArchSpec, parent: Network) -> Network:
    """A network that has inherited, with the parent's classifier too where it fits."""
    torch.manual_seed(7)
    network = build_network(arch, 5).eval()
    inherit(network, parent)
    own, theirs = (each.get_submodule(classifier_name(each)) for each in (network, parent))
    if own.weight.shape == theirs.weight.shape:
        own.load_state_dict(theirs.state_dict())
    return network


def outputs(network: Network) -> Tensor:
    with torch.inference_mode():
        found: Tensor = network(IMAGES)
    return found


@pytest.mark.parametrize("name", PARENTS)
def test_the_same_network_computes_the_same(name: str) -> None:
    parent = trained(PARENTS[name])
    assert torch.equal(outputs(heir(PARENTS[name], parent)), outputs(parent))


@pytest.mark.parametrize("name", ["mbconv", "basic"])
def test_a_deeper_network_computes_the_same_at_first(name: str) -> None:
    arch = PARENTS[name]
    parent = trained(arch)
    last = replace(arch.stages[-1], layers=arch.stages[-1].layers + 2)
    deeper = replace(arch, stages=(*arch.stages[:-1], last))
    assert torch.equal(outputs(heir(deeper, parent)), outputs(parent))


def test_a_wider_network_computes_the_same_at_first() -> None:
    arch = PARENTS["mbconv"]
    parent = trained(arch)
    wider = replace(arch, stem=StemSpec(20), stages=(replace(arch.stages[0], channels=14), arch.stages[1]))
    assert torch.allclose(outputs(heir(wider, parent)), outputs(parent), atol=1e-5)
    wider = replace(arch, stages=(arch.stages[0], replace(arch.stages[1], channels=18)))
    assert torch.allclose(outputs(heir(wider, parent)), outputs(parent), atol=1e-5)


def silence(parent: Network, keep: float, generator: torch.Generator) -> None:
    """Let some channels of every norm be zero: of a stage's residual stream the same in all of its blocks."""
    for i, stage in enumerate(parent.get_submodule("stages").children()):
        stream: Tensor | None = None
        for block in stage.children():
            norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
            dead = None
            for norm in norms:
                count = len(norm.weight)
                last = norm is norms[-1]
                if last and stream is not None:
                    dead = stream
                elif dead is None or len(dead) != count or last:
                    dead = torch.randperm(count, generator=generator) >= round(keep * count)
                stream = dead if last else stream
                norm.weight.data[dead] = 0
                norm.bias.data[dead] = 0
        assert stream is not None, i


def test_channels_that_say_nothing_are_those_left_out() -> None:
    arch = replace(PARENTS["mbconv"], activation="relu", head=HeadSpec(0))
    arch = replace(arch, stages=(arch.stages[0], StageSpec(expand=4, channels=12, stride=2, layers=3, kernel=5)))
    parent = trained(arch)
    silence(parent, 0.5, torch.Generator().manual_seed(3))
    half = replace(arch, stages=tuple(replace(stage, channels=stage.channels // 2) for stage in arch.stages))
    cut = heir(half, parent)
    features = [torch.nn.Sequential(each.get_submodule("stem"), each.get_submodule("stages")) for each in (cut, parent)]
    with torch.inference_mode():
        mine, theirs = (each(IMAGES) for each in features)
    alive = theirs.abs().sum((0, 2, 3)) > 0
    assert alive.sum() == half.stages[-1].channels
    assert torch.allclose(mine, theirs[:, alive], atol=1e-5)


def test_of_large_kernels_the_centre_is_taken() -> None:
    arch = PARENTS["mbconv"]
    parent = trained(arch)
    for module in parent.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (5, 5):
            edge = torch.ones(5, 5, dtype=torch.bool)
            edge[1:4, 1:4] = False
            module.weight.data[..., edge] = 0
    small = replace(arch, stages=tuple(replace(stage, kernel=3) for stage in arch.stages))
    assert torch.allclose(outputs(heir(small, parent)), outputs(parent), atol=1e-5)
    assert torch.allclose(outputs(heir(arch, heir(small, parent))), outputs(parent), atol=1e-5)


def test_fewer_layers_and_stages_are_the_first_ones() -> None:
    arch = PARENTS["mbconv"]
    parent = trained(arch)
    shallow = replace(arch, stages=(arch.stages[0], replace(arch.stages[1], layers=1)))
    cut = heir(shallow, parent)
    own = dict(cut.state_dict())
    for name, value in parent.state_dict().items():
        if name in own:
            assert torch.equal(own[name], value), name
    first = heir(replace(arch, stages=arch.stages[:1], head=HeadSpec(0)), parent)
    for name, value in first.get_submodule("stages").state_dict().items():
        assert torch.equal(value, parent.get_submodule("stages").state_dict()[name])
    assert any(isinstance(module, Gate) for module in cut.modules())  # among what was compared


def test_what_is_no_part_is_refused() -> None:
    parent = trained(PARENTS["mbconv"])

    def refused(arch: ArchSpec, words: str) -> None:
        with pytest.raises(ArchError, match=words):
            inherit(build_network(arch, 5), parent)

    arch = PARENTS["mbconv"]
    refused(PARENTS["sepconv"], "of other blocks")
    refused(replace(arch, stages=(*arch.stages, arch.stages[1])), "3 stages cannot begin as one of 2")
    refused(replace(arch, input_channels=1), "1 input channels cannot begin as one of 3")
    branched = replace(arch, stages=(StageSpec("fire", channels=16),))
    with pytest.raises(ArchError, match="several branches"):
        inherit(build_network(branched, 5), build_network(branched, 5))


def test_members_of_the_space_are_parts_at_one_cost() -> None:
    parent = replace(PARENTS["mbconv"], resolution=64)
    space = around_space(parent, 1.5e6, (96, 48, 32), num_classes=5)
    assert dict(space.distributions()).keys() >= {"resolution", "stages", "s1.filters", "s2.layers", "s2.kernel"}
    trained_parent = trained(parent)
    met = set()
    for row in space.sample(np.random.default_rng(0), 30):
        arch = space.decode(space.params(row))
        assert count_macs(arch, None, 5) <= 1.1 * 1.5e6
        assert arch.resolution in (32, 48)
        assert all(mine.layers <= theirs.layers for mine, theirs in zip(arch.stages, parent.stages, strict=False))
        inherit(build_network(arch, 5), trained_parent)
        met.add(arch.id)
    assert len(met) > 10
    for start in space.starts:
        assert abs(count_macs(space.decode(start), None, 5) / 1.5e6 - 1) < 0.1
    with pytest.raises(ValueError, match="cannot be reached by parts of this network at 32 to 96 pixels"):
        around_space(parent, 1e4, (96, 32), num_classes=5)
