"""What a training aims at: loss, metric, initial weights and a teacher are values that the one driver obeys."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, f1_score
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from nas.data.augment import normalise, resize, to_grey
from nas.data.dataset import Dataset
from nas.data.feed import Feed, in_grey, open_feed
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Probe, Request
from nas.pool.executor import evaluate_safely
from nas.training.adapted import Normalisation, Sight
from nas.training.checkpoint import Checkpoints, TrainingState, save_weights
from nas.training.fit import Validation, fit
from nas.training.loop import Training
from nas.training.numerics import repeatable
from nas.training.objective import (
    CROSS_ENTROPY,
    FROM_SCRATCH,
    METRICS,
    InitialWeights,
    Loss,
    Metric,
    Objective,
    Teacher,
    accuracy,
    class_weighted,
)
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import fast
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network
from search_spaces.network import classifier_name
from search_spaces.weights_file import WeightsError

CPU = torch.device("cpu")
ARCH = ArchSpec(
    stages=(StageSpec(expand=2, channels=8), StageSpec(expand=2, channels=16, stride=2)),
    stem=StemSpec(channels=8, stride=1),
    head=HeadSpec(32),
    resolution=8,
    input_channels=1,
)
REQUEST = Request(ARCH, Fidelity(epochs=3, train_fraction=0.3), seed=4)


def predicts_zero(predicted: Tensor, labels: Tensor) -> float:  # noqa: ARG001
    return float((predicted == 0).float().mean())


def squared(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    wanted = F.one_hot(labels, logits.shape[1]) * (1 - label_smoothing)
    return ((logits - wanted) ** 2).mean()


ZEROS = Metric("zeros", predicts_zero)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset("digits", tmp_path_factory.mktemp("cache"))


def feed_of(dataset: Dataset, split: str, share: float = 0.3) -> Feed:
    return open_feed(dataset, split, CPU, share=share if split == "train" else 1.0, resolution=8, channels=1)


def training_of(dataset: Dataset, epochs: int = 3, seed: int = 4) -> Training:
    """As the proxies make it, to be called inside `repeatable`."""
    network = ProxyEvaluator(dataset).network(ARCH, epochs, CPU)
    return Training(network, fast(), feed_of(dataset, "train"), epochs, seed, dataset.flip)


def everything(dataset: Dataset) -> Validation:
    val = feed_of(dataset, "val")
    return Validation(val, val)


def noting(told: list[float]) -> Callable[[int, float], bool]:
    """A report that keeps what it is told, and has the training go on."""

    def report(_: int, value: float) -> bool:
        told.append(value)
        return True

    return report


# --- The driver ----------------------------------------------------------------------------------------------------


def test_search_full_training_and_a_loop_by_hand_come_to_the_same_bits(digits: Dataset) -> None:
    told: list[float] = []
    outcome = ProxyEvaluator(digits).evaluate(REQUEST, "cpu", noting(told))
    with repeatable(4, CPU):
        state = fit(training_of(digits), FROM_SCRATCH, everything(digits), None, lambda _: True)
    with repeatable(4, CPU):
        training, by_hand = training_of(digits), []
        for epoch in (1, 2, 3):
            training.run_epoch(epoch)
            logits = torch.cat([training.network.eval()(images) for images, _ in feed_of(digits, "val").in_order(64)])
            by_hand.append(accuracy(logits.argmax(1), feed_of(digits, "val").labels))
    assert outcome.curve == state.curve == tuple(by_hand) == tuple(told)
    assert outcome.accuracy == by_hand[-1] > 0.3


def test_a_training_is_told_of_each_state_once_and_ends_when_told_to(digits: Dataset, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    told: list[tuple[TrainingState, list[int]]] = []

    def until(last: int, state: TrainingState) -> bool:
        told.append((state, list(state.news)))
        return len(state.curve) != last

    with repeatable(4, CPU):
        whole = fit(training_of(digits, 4), FROM_SCRATCH, everything(digits), None, lambda _: True)
    with repeatable(4, CPU):
        fit(training_of(digits, 4), FROM_SCRATCH, everything(digits), checkpoints, lambda state: until(2, state))
    with repeatable(4, CPU):
        end = fit(training_of(digits, 4), FROM_SCRATCH, everything(digits), checkpoints, lambda s: until(9, s))
    assert [news for _, news in told] == [[1], [2], [1, 2], [3], [4]]
    assert [len(state.curve) for state, _ in told] == [1, 2, 2, 3, 4]
    assert (end.curve, end.restored, end.earlier) == (whole.curve, 2, told[1][0].seconds)
    assert end.seconds > end.earlier
    with repeatable(4, CPU):
        fit(training_of(digits, 4), FROM_SCRATCH, everything(digits), checkpoints, lambda state: until(4, state))
    assert told.pop()[1] == [1, 2, 3, 4]  # nothing was left to train


# --- Loss and metric -----------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_accuracy_counts_what_is_predicted(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = torch.tensor(pairs).T
    assert accuracy(predicted, labels) == sum(p == t for p, t in pairs) / len(pairs)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_metrics_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    predicted, labels = torch.tensor(pairs).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are predicted only
        balanced = balanced_accuracy_score(labels, predicted)
    assert METRICS["balanced_accuracy"].of(predicted, labels) == pytest.approx(balanced)
    wanted = f1_score(labels, predicted, average="macro", zero_division=0)
    assert METRICS["macro_f1"].of(predicted, labels) == pytest.approx(wanted)


def test_a_class_with_nine_tenths_of_the_images_does_not_decide() -> None:
    labels = torch.tensor([0] * 90 + [1] * 10)
    always = torch.zeros_like(labels)
    assert METRICS["accuracy"].of(always, labels) == 0.9
    assert METRICS["balanced_accuracy"].of(always, labels) == 0.5
    assert METRICS["macro_f1"].of(always, labels) < 0.48


def test_class_weights_count_all_classes_alike() -> None:
    """The gradients of all images of a class together are as large as those of each other."""
    images = [40, 2, 10]
    loss = class_weighted(images)
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(images))
    logits = torch.zeros(len(labels), 3, requires_grad=True)
    value = loss.of(logits, labels, 0.0)
    value.backward()
    assert logits.grad is not None
    of_class = [float(-logits.grad[labels == label, label].sum()) for label in range(3)]
    assert of_class == pytest.approx([of_class[0]] * 3)
    even, plain = (each.of(logits.detach(), labels, 0.1) for each in (class_weighted([5, 5, 5]), CROSS_ENTROPY))
    assert float(even) == pytest.approx(float(plain))
    assert pickle.loads(pickle.dumps(loss)) == loss  # worker processes get it
    assert (
        Objective(loss=loss, metric=METRICS["macro_f1"]).method == "loss=class_weighted_cross_entropy,metric=macro_f1"
    )


def test_the_metric_is_measured_told_and_named(digits: Dataset) -> None:
    objective = Objective(metric=ZEROS)
    told: list[float] = []
    evaluator = ProxyEvaluator(digits, objective=objective)
    asked = replace(REQUEST, split="test", method=objective.method)
    outcome = evaluator.evaluate(asked, "cpu", noting(told))
    with repeatable(4, CPU):
        training = training_of(digits)
        fit(training, FROM_SCRATCH, everything(digits), None, lambda _: True)
    on_val, on_test = (training.measure(feed_of(digits, split), ZEROS) for split in ("val", "test"))
    assert (outcome.metric, outcome.value, outcome.metrics) == ("zeros", on_test, {"val_zeros": on_val})
    assert outcome.curve == tuple(told)
    assert 0 < on_test < 0.5


def test_the_loss_is_the_one_that_is_minimised(digits: Dataset) -> None:
    objective = Objective(loss=Loss("squared", squared))
    with repeatable(0, CPU):
        training = training_of(digits)
    network = training.network.eval()  # without dropout, so that the same batch has the same logits
    images, labels = next(training.batches(1, 32))
    with torch.no_grad():
        wanted = float(squared(network(images), labels, 0.1))
    assert float(training.step(images, labels, objective)) == pytest.approx(wanted, rel=1e-5)
    assert objective.method == "loss=squared"


# --- Initial weights -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("new_head", [False, True])
@pytest.mark.parametrize("as_file", [False, True])
def test_a_training_starts_from_the_weights(digits: Dataset, tmp_path: Path, new_head: bool, as_file: bool) -> None:
    given_network = build_network(ARCH, 10)
    save_weights(given_network, tmp_path / "w.safetensors")
    source = tmp_path / "w.safetensors" if as_file else given_network.state_dict()
    objective = Objective(initial=InitialWeights(source, new_head))
    made = ProxyEvaluator(digits, objective=objective).network(ARCH, 1, CPU).state_dict()
    same = {name for name, value in given_network.state_dict().items() if torch.equal(value, made[name])}
    assert made.keys() - same == ({f"{classifier_name(given_network)}.weight"} if new_head else set())
    fresh = build_network(ARCH, 10)
    assert objective.initial is not None
    assert objective.initial.load_into(fresh) is not new_head


def test_a_classifier_of_other_classes_is_left_out(tmp_path: Path) -> None:
    initial = InitialWeights(build_network(ARCH, 7).state_dict())
    assert not initial.load_into(build_network(ARCH, 10))
    with pytest.raises(WeightsError):
        initial.load_into(build_network(replace(ARCH, head=HeadSpec(48)), 10))
    with pytest.raises(WeightsError):
        InitialWeights(tmp_path / "none.pth", new_head=True).load_into(build_network(ARCH, 10))


def test_what_was_trained_before_is_better_from_the_first_epoch_on(digits: Dataset) -> None:
    with repeatable(0, CPU):
        first = training_of(digits, epochs=6)
        before = fit(first, FROM_SCRATCH, everything(digits), None, lambda _: True)
    objective = Objective(initial=InitialWeights(first.result.state_dict()))
    asked = replace(REQUEST, method=objective.method)
    outcome = ProxyEvaluator(digits, objective=objective).evaluate(asked, "cpu", lambda *_: True)
    assert outcome.curve[0] > before.curve[0] + 0.2


# --- A teacher -----------------------------------------------------------------------------------------------------


class Fixed(nn.Module):
    """Gives the same logits whatever it sees."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


logit_lists = st.lists(st.floats(-5, 5), min_size=3, max_size=3)


@given(logit_lists, logit_lists, st.floats(0.5, 20), st.floats(0.01, 1), st.floats(0, 0.5))
def test_distillation_is_the_divergence_from_the_teachers_softened_distribution(
    student: list[float], teacher: list[float], temperature: float, weight: float, smoothing: float
) -> None:
    images, labels = torch.zeros(4, 1), torch.tensor([0, 1, 2, 1])
    logits = torch.tensor([student] * 4, dtype=torch.float64)
    fixed = Fixed(torch.tensor(teacher, dtype=torch.float64))
    objective = Objective(teacher=Teacher(fixed, weight, temperature))
    p, q = (torch.softmax(torch.tensor(v, dtype=torch.float64) / temperature, 0) for v in (teacher, student))
    divergence = float((p * (p.log() - q.log())).sum()) * temperature**2
    plain = float(F.cross_entropy(logits, labels, label_smoothing=smoothing))
    found = objective.loss_of(logits, images, labels, smoothing)
    assert float(found) == pytest.approx((1 - weight) * plain + weight * divergence, rel=1e-9, abs=1e-9)
    assert FROM_SCRATCH.loss_of(logits, images, labels, smoothing) == plain


COLOURS = Normalisation((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


@pytest.mark.parametrize(
    ("grey", "pixels", "sees"),
    [
        (True, (8, 8, 8), COLOURS),
        (False, (16, 8, 8), COLOURS),
        (False, (4, 8, 8), COLOURS),
        (True, (16, 8, 8), COLOURS),
        (False, (4, 6, 8), COLOURS),
        (True, (6, 8, 8), Normalisation((0.5,), (0.25,))),
    ],
)
def test_a_teacher_loses_nothing_that_it_can_see_whatever_its_student_sees(
    grey: bool, pixels: tuple[int, int, int], sees: Normalisation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher, batch = pixels
    generator = np.random.default_rng(0)
    colours, labels = generator.integers(0, 256, (40, 8, 8, 3), np.uint8), np.arange(40) % 2
    for name, part in (("train", slice(0, 30)), ("val", slice(30, 40))):
        for number, (image, label) in enumerate(zip(colours[part], labels[part], strict=True)):
            folder = tmp_path / "images" / name / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number}.png")
    dataset = open_dataset(str(tmp_path / "images"), tmp_path / "cache")
    if grey:
        dataset = in_grey(dataset)
    seen: dict[str, list[Tensor]] = {"teacher": [], "student": []}

    class Looks(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen["teacher"].append(images)
            return torch.zeros(len(images), 2)

    def step(self: Training, images: Tensor, labels: Tensor, objective: Objective = FROM_SCRATCH) -> Tensor:
        self.network.register_forward_pre_hook(lambda _, given: seen["student"].append(given[0]))
        return whole(self, images, labels, objective)

    whole = Training.step
    monkeypatch.setattr(Training, "step", step)
    objective = Objective(teacher=Teacher(Looks(), sees=Sight(teacher, sees)))
    arch = replace(ARCH, resolution=student, input_channels=1 if grey else 3)
    request = replace(REQUEST, arch=arch, fidelity=Fidelity(1), method=objective.method)
    evaluator = ProxyEvaluator(dataset, objective=objective)
    assert evaluator.evaluate(request, "cpu", lambda *_: True).value is not None
    assert evaluator.time(Probe(arch, 0.01), "cpu").eval_batch > 0
    taught, given = seen["teacher"][0], seen["student"][0]
    assert taught.shape[1:] == (3, batch, batch)
    assert given.shape[1:] == (len(dataset.mean), student, student)
    shades = taught * torch.tensor(sees.std).view(1, -1, 1, 1) + torch.tensor(sees.mean).view(1, -1, 1, 1)
    assert float((shades.amax(1) - shades.amin(1)).mean()) > 0.2  # they are in colour
    inside = shades[:, :, 2:6, 2:6] * 255  # shifts leave a border of the mean
    torch.testing.assert_close(inside, inside.round(), atol=1e-3, rtol=0)  # and as they are: blurred, they would not be
    images = resize((shades * 255).round().to(torch.uint8).permute(0, 2, 3, 1), student)
    mean, std = (255 * torch.tensor(values) for values in (dataset.mean, dataset.std))
    assert torch.equal(given, normalise(to_grey(images) if grey else images, mean, std))  # as its own feed would


def test_a_student_learns_from_its_teacher_alone_what_no_label_says(digits: Dataset) -> None:
    with repeatable(0, CPU):
        expert = training_of(digits, epochs=6)
        fit(expert, FROM_SCRATCH, everything(digits), None, lambda _: True)
    before = copy.deepcopy(expert.result.state_dict())
    objective = Objective(teacher=Teacher(expert.result.train(), weight=1.0, temperature=2.0))
    with repeatable(1, CPU):
        student = training_of(digits, epochs=4)
        student.train = replace(student.train, labels=torch.zeros_like(student.train.labels))
        state = fit(student, objective, everything(digits), None, lambda _: True)
    assert state.curve[-1] > 0.5
    assert not expert.result.training
    assert all(torch.equal(value, before[name]) for name, value in expert.result.state_dict().items())
    assert all(parameter.grad is None for parameter in expert.result.parameters() if not parameter.requires_grad)


@pytest.mark.parametrize(("weight", "temperature"), [(0, 1), (1.5, 1), (-0.1, 1), (0.5, 0), (0.5, -1)])
def test_a_teacher_out_of_range_is_refused(weight: float, temperature: float) -> None:
    with pytest.raises(ValueError, match="a teacher's"):
        Teacher(nn.Identity(), weight, temperature)


# --- What tells figures apart --------------------------------------------------------------------------------------


def test_each_way_to_a_figure_has_a_name_of_its_own() -> None:
    network, other = build_network(ARCH, 10), build_network(ARCH, 10)
    ways = [
        FROM_SCRATCH,
        Objective(metric=ZEROS),
        Objective(loss=Loss("squared", squared)),
        Objective(initial=InitialWeights(network.state_dict())),
        Objective(initial=InitialWeights(network.state_dict(), new_head=True)),
        Objective(initial=InitialWeights(other.state_dict())),
        Objective(teacher=Teacher(network)),
        Objective(teacher=Teacher(network, weight=0.25)),
        Objective(teacher=Teacher(network, temperature=1.0)),
        Objective(teacher=Teacher(network, sees=Sight(8, Normalisation((0.5,), (0.2,))))),
        Objective(teacher=Teacher(network, sees=Sight(16, Normalisation((0.5,), (0.2,))))),
        Objective(teacher=Teacher(network, sees=Sight(8, Normalisation((0.5,) * 3, (0.2,) * 3)))),
        Objective(teacher=Teacher(other)),
    ]
    names = [way.method for way in ways]
    assert names[:3] == ["", "metric=zeros", "loss=squared"]
    assert len(set(names)) == len(ways)
    assert not any("/" in name for name in names)
    again = Objective(initial=InitialWeights(copy.deepcopy(network).state_dict()))
    assert again.method == names[3]
    assert Objective(metric=ZEROS, teacher=Teacher(network)).method == f"metric=zeros,{names[6]}"
    assert [pickle.loads(pickle.dumps(way)).method for way in ways] == names


def test_a_request_for_another_method_is_not_answered(digits: Dataset) -> None:
    outcome = evaluate_safely(
        ProxyEvaluator(digits, objective=Objective(metric=ZEROS)), REQUEST, "cpu", lambda *_: True
    )
    assert outcome.failure is not None
    assert outcome.failure.message == (
        "ValueError: the request asks for the method '', the evaluator's is 'metric=zeros'"
    )
