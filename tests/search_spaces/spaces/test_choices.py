"""Spaces as data: what choices in specs become, and spaces drawn at random, macro choices and all."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from search_spaces import (
    SPACES,
    ArchError,
    ArchSpec,
    HeadSpec,
    OneOf,
    StagedSpace,
    StageSpec,
    StemSpec,
    cost_table,
    count_macs,
    count_params,
    mnasnet_space,
    staged_space,
    vary,
)
from search_spaces.spaces.choices import Varied, choices_of, decide

STAGE = StageSpec(channels=8)
ARCH = ArchSpec((STAGE,), stem=StemSpec(channels=8), resolution=16)


# --- The nodes -----------------------------------------------------------------------------------------------------


def test_a_label_stands_for_itself_or_for_the_value_in_its_place() -> None:
    assert decide(OneOf("kernel", (3, 5)), {"kernel": 5}) == 5
    assert decide(OneOf("width", ("narrow", "wide"), (8, 16)), {"width": "wide"}) == 16


def test_one_decision_may_stand_for_other_values_in_other_places() -> None:
    when = ("early", "late")
    stages = (vary(STAGE, stride=OneOf("strides", when, (2, 1))), vary(STAGE, stride=OneOf("strides", when, (1, 2))))
    assert [choice.name for choice in choices_of(stages)] == ["strides"]
    assert [stage.stride for stage in decide(stages, {"strides": "early"})] == [2, 1]
    assert [stage.stride for stage in decide(stages, {"strides": "late"})] == [1, 2]


def test_parameters_are_met_from_the_outside_in_and_from_left_to_right() -> None:
    op = OneOf("op", ("a", "b"), (vary(STAGE, kernel=OneOf("kernel", (3, 5))), vary(STAGE, se=OneOf("se", (0.0, 0.5)))))
    spec = vary(ARCH, resolution=OneOf("resolution", (8, 16)), stages=(op, vary(STAGE, layers=OneOf("layers", (1, 2)))))
    assert [choice.name for choice in choices_of(spec)] == ["resolution", "op", "kernel", "se", "layers"]


def test_a_tuple_taken_among_stages_adds_its_stages() -> None:
    second = StageSpec(channels=12)
    third = vary(StageSpec(channels=16), kernel=OneOf("k", (3, 5)))
    stages = (STAGE, OneOf("more", (0, 1, 2), ((), (second,), (second, third))))
    assert [len(decide(stages, {"more": n, "k": 3})) for n in (0, 1, 2)] == [1, 2, 3]
    assert decide(stages, {"more": 2, "k": 5})[-1] == StageSpec(channels=16, kernel=5)


def test_decisions_may_be_made_one_after_another() -> None:
    stages = (vary(STAGE, layers=OneOf("l", (1, 2))), OneOf("m", (0, 1), ((), (STAGE,))))
    spec = vary(ARCH, resolution=OneOf("r", (8, 16)), stages=stages)
    at_once = decide(spec, {"r": 8, "l": 2, "m": 1})
    assert at_once == ArchSpec((StageSpec(channels=8, layers=2), STAGE), stem=ARCH.stem, resolution=8)
    for order in (("r", "l", "m"), ("m", "l", "r"), ("l", "r", "m")):
        step: Any = spec
        for name in order:
            assert isinstance(step, Varied)
            step = decide(step, {name: {"r": 8, "l": 2, "m": 1}[name]})
        assert step == at_once


def test_a_spec_with_choices_can_be_varied_further() -> None:
    wider = vary(mnasnet_space(1e6, 16).spec, resolution=OneOf("resolution", (12, 16)))
    space = staged_space("wider", wider)
    assert space.size == 2 * 432**7
    params = space.params(space.sample(np.random.default_rng(0), 1)[0])
    assert space.decode({**params, "resolution": 12}).resolution == 12


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OneOf("x", (1, 2), (3,)), "choice 'x' has 2 labels, but 1 values"),
        (lambda: OneOf("x", (1, 1)), "choice 'x' needs at least one value and no value twice"),
        (lambda: staged_space("s", (OneOf("x", (1, 2)), OneOf("x", (1, 3)))), "choice 'x' has labels"),
        (lambda: decide(OneOf("x", (1, 2)), {"x": 3}), r"choice 'x' is one of \(1, 2\), not 3"),
    ],
)
def test_what_is_no_choice_is_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_field_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"has no field 'kernels'; its fields are .*kernel, stride"):
        vary(STAGE, kernels=OneOf("k", (3, 5)))


def test_a_member_that_cannot_be_says_which_field_is_wrong() -> None:
    space = staged_space("odd", vary(ARCH, stages=(vary(STAGE, kernel=OneOf("k", (3, 4))),)))
    with pytest.raises(ArchError, match=r"stages\[0\].kernel: must be odd, not 4"):
        space.decode({"k": 4})


# --- The spaces that come with it ----------------------------------------------------------------------------------

# The parameters in order, and the ids of 100 members drawn with seed 1, as journals of earlier versions have them.
EARLIER = {
    "mnasnet": ("op kernel se skip filters layers", "0965a22f3a0d1bf9"),
    "mbconv": ("expand kernel layers se", "adf0c63a3f70825f"),
}


@pytest.mark.parametrize("name", EARLIER)
def test_earlier_journals_fit_the_spaces(name: str) -> None:
    names, digest = EARLIER[name]
    space = SPACES[name](1e6, 16, num_classes=10)
    assert [choice.name for choice in space.choices] == [
        f"s{i}.{short}" for i in range(1, 8) for short in names.split()
    ]
    ids = [space.decode(space.params(row)).id for row in space.sample(np.random.default_rng(1), 100)]
    assert hashlib.sha256(" ".join(ids).encode()).hexdigest()[:16] == digest


# --- Spaces drawn at random ----------------------------------------------------------------------------------------

DECISIONS: dict[str, tuple[Any, ...]] = {"a": (1, 2), "b": ("x", "y", "z"), "c": (False, True), "d": (0.5, 1.0, 2.0)}


@st.composite
def decisions(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> OneOf:
    """Few names, so that most of them stand in several places, even inside their own alternatives."""
    name = draw(st.sampled_from(sorted(DECISIONS)))
    labels = DECISIONS[name]
    return OneOf(name, labels, tuple(draw(values) for _ in labels))


def open_or_not(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, decisions(values), decisions(values | decisions(values)))


def varied(value: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """`value` with some of the `fields` that it has replaced."""
    own = {field.name for field in dataclasses.fields(value)}
    some = {name: open_or_not(values) for name, values in fields.items() if name in own}
    return st.builds(lambda chosen: vary(value, **chosen), st.fixed_dictionaries({}, optional=some))


STAGES = open_or_not(
    st.sampled_from(["conv", "sepconv", "mbconv", "basic", "bottleneck"]).flatmap(
        lambda op: varied(
            StageSpec(op=op, channels=8),
            kernel=st.sampled_from([1, 3, 5]),
            stride=st.integers(1, 2),
            expand=st.integers(1, 3),
            se=st.sampled_from([0.0, 0.25]),
            skip=st.sampled_from(["identity", "none", "pool", "project"]),
            channels=st.sampled_from([6, 8, 12]),
            layers=st.integers(1, 3),
        )
    )
)
SEVERAL = decisions(st.lists(STAGES, max_size=2).map(tuple) | STAGES)
TUPLES = st.tuples(STAGES, st.lists(STAGES | SEVERAL, max_size=3).map(tuple)).map(lambda parts: (parts[0], *parts[1]))
SPECS = open_or_not(
    varied(
        ARCH,
        stages=TUPLES,
        resolution=st.integers(4, 20),
        stem=varied(StemSpec(), channels=st.integers(4, 8), stride=st.integers(1, 2)),
        head=varied(HeadSpec(), channels=st.sampled_from([0, 16]))
        | varied(HeadSpec(16, "mobilenet_v3", 8), kind=st.sampled_from(["mobilenet_v3", "mobilenet_v4"])),
        activation=st.sampled_from(["relu", "silu"]),
    )
)


def counted_singly(space: StagedSpace, rows: NDArray[np.int64], num_classes: int) -> list[list[int]]:
    archs = [space.decode(space.params(row)) for row in rows]
    return [[count_macs(arch, None, num_classes), count_params(arch, num_classes)] for arch in archs]


@settings(max_examples=100, deadline=None)
@given(SPECS, st.integers(0, 2**32 - 1), st.sampled_from([2, 10]))
def test_the_table_of_any_space_holds_what_single_networks_cost(spec: Any, seed: int, num_classes: int) -> None:
    space = staged_space("drawn", spec)
    table = cost_table(space, num_classes)
    for n in (6, 1, 0):
        rows = space.sample(np.random.default_rng(seed), n)
        assert table.count(rows).tolist() == counted_singly(space, rows, num_classes)


@settings(max_examples=50, deadline=None)
@given(SPECS, st.integers(0, 2**32 - 1))
def test_every_encoding_is_a_network_whose_json_is_stable(spec: Any, seed: int) -> None:
    space = staged_space("drawn", spec)
    assert isinstance(space.base, ArchSpec)
    sizes = [len(choice.values) for choice in space.choices]
    for row in space.sample(np.random.default_rng(seed), 5):
        assert ((row >= 0) & (row < sizes)).all()
        params = space.params(row)
        assert space.indices(params).tolist() == row.tolist()
        arch = space.decode(params)
        read = ArchSpec.from_json(arch.to_json())
        assert (read, read.id, read.to_json()) == (arch, arch.id, arch.to_json())


@settings(max_examples=50, deadline=None)
@given(SPECS, st.integers(0, 2**32 - 1))
def test_neighbours_of_any_encoding_are_all_single_changes_and_networks(spec: Any, seed: int) -> None:
    space = staged_space("drawn", spec)
    params = space.params(space.sample(np.random.default_rng(seed), 1)[0])
    near = list(space.neighbours(params))
    assert len({tuple(other.items()) for other in near}) == len(near) == sum(len(c.values) - 1 for c in space.choices)
    for other in near:
        assert sum(other[name] != params[name] for name in params) == 1
        assert space.decode(other).stages


def test_parameters_of_alternatives_that_are_not_taken_make_no_difference() -> None:
    deep = vary(STAGE, kernel=OneOf("deep.kernel", (3, 5)))
    space = staged_space("optional", vary(ARCH, stages=(STAGE, OneOf("deep", (False, True), ((), (deep,))))))
    ids = {(d, k): space.decode({"deep": d, "deep.kernel": k}).id for d in (False, True) for k in (3, 5)}
    assert ids[False, 3] == ids[False, 5]
    assert len(set(ids.values())) == 3


# --- Tables of macro choices ---------------------------------------------------------------------------------------


def macro_space() -> StagedSpace:
    """Resolution x where the strides fall x number of stages x width of all, and a kernel for each stage."""
    when, widths = ("early", "late"), (75, 100, 150)

    def stage(i: int, channels: int) -> Varied:
        return vary(
            StageSpec(expand=3, se=0.25),
            stride=OneOf("strides", when, (1 + (i < 2), 1 + (i >= 2))),
            kernel=OneOf(f"s{i + 1}.kernel", (3, 5)),
            channels=OneOf("width", widths, tuple(channels * width // 100 for width in widths)),
        )

    stages = tuple(stage(i, channels) for i, channels in enumerate((8, 16, 24, 32)))
    return staged_space(
        "macro",
        vary(
            ARCH,
            resolution=OneOf("resolution", (24, 32)),
            stages=OneOf("stages", (2, 3, 4), (stages[:2], stages[:3], stages)),
        ),
    )


def test_macro_choices_are_made_and_counted() -> None:
    space = macro_space()
    assert space.size == 2 * 3 * 2 * 3 * 2**4
    kernels = {f"s{i}.kernel": kernel for i, kernel in enumerate((3, 5, 3, 5), 1)}
    arch = space.decode({"resolution": 24, "stages": 3, "strides": "late", "width": 150, **kernels})
    assert arch.resolution == 24
    assert [stage.stride for stage in arch.stages] == [1, 1, 2]
    assert [stage.channels for stage in arch.stages] == [12, 24, 36]
    assert [stage.kernel for stage in arch.stages] == [3, 5, 3]
    every = np.stack(np.meshgrid(*(np.arange(len(choice.values)) for choice in space.choices)), -1).reshape(-1, 8)
    assert len(every) == space.size
    assert cost_table(space, 10).count(every).tolist() == counted_singly(space, every, 10)


def test_a_stage_of_very_many_choices_is_counted_all_the_same() -> None:
    channels: Any = 8
    for i in range(70):
        channels = OneOf(f"c{i}", (0, 1), (8 + i, channels))
    space = staged_space("many", vary(ARCH, stages=(vary(STAGE, channels=channels, kernel=OneOf("k", (1, 3))), STAGE)))
    rows = space.sample(np.random.default_rng(0), 20)
    rows[:10, :60] = 1  # few rows drawn at random get far down
    assert cost_table(space, 10).count(rows).tolist() == counted_singly(space, rows, 10)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (vary(STAGE, kernel=OneOf("x", (3, 4))), "kernel: must be odd, not 4"),
        (vary(STAGE, layers=OneOf("x", (1, 0))), "layers: must be an integer of at least 1, not 0"),
        (OneOf("x", (0, 1), (STAGE, StageSpec("shuffle", channels=4))), "channels: must be more than the 8"),
    ],
)
def test_the_table_refuses_what_makes_no_network_and_counts_the_rest(spec: Any, message: str) -> None:
    space = staged_space("odd", vary(ARCH, stages=(spec,)))
    table = cost_table(space, 10)
    for row in ([[1]], [[0], [1]]):
        with pytest.raises(ArchError, match=message):
            table.count(np.array(row))
    assert table.count(np.array([[0]])).tolist() == counted_singly(space, np.array([[0]]), 10)


def test_a_row_whose_layers_do_not_fit_is_refused_and_others_are_counted() -> None:
    stem = vary(StemSpec(channels=8), kind=OneOf("kind", ("conv", "squeezenet")))
    space = staged_space("small", vary(ARCH, resolution=2, stem=stem))
    table = cost_table(space, 10)
    with pytest.raises(ValueError, match="too small"):
        table.count(np.array([[0], [1]]))
    assert table.count(np.array([[0]])).tolist() == counted_singly(space, np.array([[0]]), 10)
