"""The numerics of trainings: what they change, that they are told apart, and that they end with the training."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from nas.data.dataset import Dataset
from nas.data.feed import Feed
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Request
from nas.training.loop import Training, place_network
from nas.training.numerics import NUMERICS, repeatable
from nas.training.objective import ACCURACY
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import RECIPES, fast
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network

CPU = torch.device("cpu")
ARCH = ArchSpec((StageSpec(expand=3, channels=8, layers=2, se=0.25),), StemSpec(8), HeadSpec(16), resolution=8)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset("digits", tmp_path_factory.mktemp("cache"), train_images=100)


def settings() -> tuple[object, ...]:
    cudnn = torch.backends.cudnn
    return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark


@pytest.mark.parametrize(("numerics", "rounds"), [("float32", False), ("tf32", True), ("bfloat16", False)])
def test_products_round_inside_alone_and_only_where_asked(numerics: str, rounds: bool) -> None:
    before = settings()
    with repeatable(0, CPU, numerics):
        assert settings() == ("high" if rounds else "highest", rounds, True, False)
    with pytest.raises(KeyError), repeatable(0, CPU, numerics):
        raise KeyError
    assert settings() == before


@pytest.mark.parametrize("numerics", ["float32", "bfloat16"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_products_are_computed_as_asked_and_all_that_is_kept_in_float32(recipe: str, numerics: str) -> None:
    seen = set[torch.dtype]()

    def note(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.add(output.dtype)

    feed = Feed(
        torch.randint(0, 256, (64, 8, 8, 3), dtype=torch.uint8), torch.arange(64), torch.arange(64) % 4,
        torch.full((3,), 128.0), torch.full((3,), 64.0), 8, 3,
    )  # fmt: skip
    made = RECIPES[recipe]()
    network = place_network(build_network(ARCH, 4), CPU)
    training = Training(network, made, feed, 1, seed=0, flip=True, numerics=numerics)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(note)
    training.run_epoch(1)
    training.measure(feed, ACCURACY)
    assert seen == {torch.bfloat16 if numerics == "bfloat16" else torch.float32}
    state = [value for each in training.optimizer.state.values() for value in each.values()]
    kept = [*network.state_dict().values(), *(value for value in state if isinstance(value, Tensor))]
    assert {value.dtype for value in kept if value.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize("numerics", NUMERICS)
def test_a_request_must_ask_for_the_evaluators_numerics(digits: Dataset, numerics: str) -> None:
    evaluator = ProxyEvaluator(digits, fast(), numerics=numerics)
    request = Request(ARCH, Fidelity(epochs=1, train_fraction=0.1), method=evaluator.method)
    assert (evaluator.method == "") == (numerics == "float32")
    assert evaluator.evaluate(request, "cpu", lambda _epoch, _value: True).accuracy is not None
    other = "" if evaluator.method else "numerics=tf32"
    with pytest.raises(ValueError, match="asks for the method"):
        evaluator.evaluate(replace(request, method=other), "cpu", lambda _epoch, _value: True)
