"""Architectures: identity, JSON, block strings, and the one line that a wrong field gets."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import (
    ArchError,
    ArchSpec,
    GateSpec,
    HeadSpec,
    Stage,
    StageSpec,
    StemSpec,
    count_macs,
    count_params,
    format_blocks,
    mnasnet_space,
    parse_blocks,
    reference_arch,
)
from search_spaces.arch import canonical
from search_spaces.assembly import network_layers
from search_spaces.ops import OPS
from search_spaces.reference import REFERENCE_NAMES


# Few values each, so that equal networks under different encodings turn up often.
def stage_of(op: str) -> st.SearchStrategy[Stage]:
    """Stages of one op; channels are multiples of 4, those of shuffle more than any stage before it can have."""
    return st.builds(
        StageSpec,
        op=st.just(op),
        kernel=st.sampled_from([3, 5]),
        stride=st.sampled_from([1, 2]),
        expand=st.sampled_from([1, 2.5, 3]),
        se=st.sampled_from([0.0, 0.25, 1 / 12]),
        skip=st.sampled_from(["identity", "none", "pool", "project"]),
        channels=st.just(32) if op == "shuffle" else st.sampled_from([8, 16]),
        layers=st.integers(1, 2),
        inner=st.sampled_from([0.25, 0.5]),
        groups=st.sampled_from([1, 2]),
        start=st.sampled_from([0, 5]),
        gate=st.sampled_from([None, GateSpec(), GateSpec("hardsigmoid", "relu"), GateSpec(activation="silu")]),
        activation=st.sampled_from([None, "silu", "hardswish"]),
        norm_eps=st.sampled_from([None, 1e-3, 1e-5]),
        norm_momentum=st.sampled_from([None, 0.1]),
    )


def has_room(arch: ArchSpec) -> bool:
    """Whether no map becomes too small for a pooling or convolution on the way."""
    try:
        count_macs(arch, None, 10)
    except ValueError:
        return False
    return True


stage_specs = st.sampled_from([op for op in OPS if op != "shuffle"]).flatmap(stage_of)
archs = st.builds(
    lambda stages, last, **fields: ArchSpec(tuple(stages) + tuple(last), **fields),
    st.lists(stage_specs, min_size=1, max_size=2),
    st.lists(stage_of("shuffle"), max_size=1),
    stem=st.builds(
        StemSpec,
        channels=st.sampled_from([8, 16]),
        kernel=st.just(3),
        stride=st.sampled_from([1, 2]),
        pool=st.sampled_from([1, 2]),
        kind=st.sampled_from(["conv", "squeezenet", "xception"]),
    ),
    head=st.builds(HeadSpec, channels=st.sampled_from([0, 32]), kind=st.sampled_from(["linear", "squeezenet"]))
    | st.builds(HeadSpec, st.sampled_from([0, 32]), st.sampled_from(["mobilenet_v3", "mobilenet_v4"]), st.just(24)),
    resolution=st.sampled_from([16, 32]),
    activation=st.sampled_from(["silu", "relu"]),
    dropout=st.sampled_from([0.0, 0.2]),
).filter(has_room)


def network_of(arch: ArchSpec) -> tuple[object, ...]:
    """What an id stands for: the layers (dropout apart), the image."""
    return network_layers(replace(arch, dropout=0.0), 10), arch.resolution, arch.input_channels


# --- Identity ------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(archs, stage_specs, st.integers(0, 1))
def test_ids_are_equal_exactly_when_the_layers_are(arch: ArchSpec, other: Stage, position: int) -> None:
    stages = [stage for stage in arch.stages if stage.op != "shuffle"]
    place = position % len(stages)
    stages[place] = replace(other, channels=stages[place].channels)
    changed = replace(arch, stages=(*stages, *arch.stages[len(stages) :]))
    assert (arch.id == changed.id) == (network_of(arch) == network_of(changed))


@settings(max_examples=200, deadline=None)
@given(archs)
def test_canonicalisation_keeps_the_network_and_is_done_in_one_go(arch: ArchSpec) -> None:
    assert network_of(canonical(arch)) == network_of(arch)
    assert canonical(canonical(arch)) == canonical(arch)
    assert canonical(arch).id == arch.id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (StageSpec("conv", expand=6), StageSpec("conv", expand=3)),
        (StageSpec("sepconv", expand=6), StageSpec("sepconv", expand=1)),
        (StageSpec(skip="pool", channels=32, layers=2), StageSpec(skip="identity", channels=32, layers=2)),
        (StageSpec(skip="identity", stride=2), StageSpec(skip="none", stride=2)),
        (StageSpec(skip="identity", channels=40), StageSpec(skip="none", channels=40)),
        (StageSpec(skip="project", channels=32), StageSpec(skip="identity", channels=32)),
        (StageSpec("basic", inner=0.5), StageSpec("basic", inner=0.25)),
        (StageSpec("xception", channels=32, inner=1.0), StageSpec("xception", channels=32)),
        (StageSpec("bottleneck", groups=2), StageSpec("bottleneck")),
        (StageSpec("fire", se=0.25), StageSpec("fire")),
        (StageSpec("fire", stride=2, skip="pool", channels=32), StageSpec("fire", stride=2, channels=32)),
        (StageSpec("shuffle", skip="none", channels=64), StageSpec("shuffle", channels=64)),
    ],
)
def test_choices_that_cannot_apply_do_not_tell_networks_apart(one: Stage, other: Stage) -> None:
    assert ArchSpec((one,)).id == ArchSpec((other,)).id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (StageSpec(expand=6), StageSpec(expand=3)),
        (StageSpec(skip="pool", stride=2), StageSpec(skip="none", stride=2)),
        (StageSpec(skip="pool", channels=32), StageSpec(skip="none", channels=32)),
        (StageSpec(skip="identity", channels=40, layers=2), StageSpec(skip="none", channels=40, layers=2)),
        (StageSpec("conv"), StageSpec("sepconv")),
        (StageSpec(skip="project", channels=40), StageSpec(skip="identity", channels=40)),
        (StageSpec("bottleneck", inner=0.5), StageSpec("bottleneck")),
        (StageSpec("shuffle", channels=64, groups=2), StageSpec("shuffle", channels=64)),
        (StageSpec("xception", channels=64, inner=1.0), StageSpec("xception", channels=64)),
    ],
)
def test_choices_that_apply_do(one: Stage, other: Stage) -> None:
    assert ArchSpec((one,)).id != ArchSpec((other,)).id


def test_rates_and_growth_are_not_part_of_the_id_but_resolution_and_eps_are() -> None:
    arch = reference_arch("efficientnet_b0")
    for same in (replace(arch, dropout=0.5), replace(arch, drop_path=0.0), replace(arch, phi=1.0)):
        assert same.id == arch.id
    assert replace(arch, resolution=225).id != arch.id
    assert replace(arch, norm_eps=1e-5).id != arch.id
    assert replace(arch, activation="relu").id != arch.id
    assert replace(arch, input_channels=1).id != arch.id


def test_known_networks_differ() -> None:
    assert len({reference_arch(name).id for name in REFERENCE_NAMES}) == len(REFERENCE_NAMES)


def test_equal_ids_in_the_space_cost_the_same() -> None:
    space = mnasnet_space()
    middle = {choice.name: choice.values[len(choice.values) // 2] for choice in space.choices}
    one = space.decode({**middle, "s1.op": "conv", "s1.skip": "pool"})
    other = space.decode({**middle, "s1.op": "conv", "s1.skip": "identity"})
    assert one.id == other.id
    assert (count_macs(one), count_params(one)) == (count_macs(other), count_params(other))


def test_ids_that_were_written_before_more_ops_came_still_hold() -> None:
    assert reference_arch("efficientnet_b0").id == "8d1046185f379396"
    assert reference_arch("mobilenet_v2").id == "085705d85ff81c55"


# --- JSON and block strings ----------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(archs)
def test_json_gives_the_same_architecture_back(arch: ArchSpec) -> None:
    assert ArchSpec.from_json(arch.to_json()) == arch


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_named_networks_survive_json(name: str) -> None:
    assert ArchSpec.from_json(reference_arch(name).to_json()) == reference_arch(name)


def test_fields_with_defaults_may_be_left_out() -> None:
    arch = ArchSpec.from_json('{"stages": [{"channels": 24}], "head": {"channels": 0}}')
    assert arch == ArchSpec((StageSpec(channels=24),), head=HeadSpec(0))


@settings(max_examples=100, deadline=None)
@given(archs)
def test_block_strings_give_the_same_stages_back(arch: ArchSpec) -> None:
    assert parse_blocks(format_blocks(arch)) == arch.stages
    assert parse_blocks(format_blocks(arch).split()) == arch.stages


def test_b0_in_the_authors_notation() -> None:
    text = (
        "r1_k3_s11_e1_i32_o16_se0.25 r2_k3_s22_e6_i16_o24_se0.25 r2_k5_s22_e6_i24_o40_se0.25 "
        "r3_k3_s22_e6_i40_o80_se0.25 r3_k5_s11_e6_i80_o112_se0.25 r4_k5_s22_e6_i112_o192_se0.25 "
        "r1_k3_s11_e6_i192_o320_se0.25"
    )
    assert format_blocks(reference_arch("efficientnet_b0")) == text


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ("r1_k3", "block string 'r1_k3': expected a form like"),
        ("r1_k3_s12_e1_i32_o16", "strides differ"),
        ("r1_k3_s11_e1_i32_o16 r1_k3_s11_e1_i24_o16", "takes 24 channels, gets 16"),
        ("r1_k3_s11_e1_i32_o16_se0.2.5", "expected a form like"),
    ],
)
def test_a_wrong_block_string_is_named(blocks: str, message: str) -> None:
    with pytest.raises(ArchError, match=message) as raised:
        parse_blocks(blocks)
    assert "\n" not in str(raised.value)


# --- Wrong fields --------------------------------------------------------------------------------------------------

B0 = asdict(reference_arch("efficientnet_b0"))


def altered(path: str, value: object) -> str:
    """B0 as JSON with one field changed, such as "stages.2.kernel"."""
    data = json.loads(json.dumps(B0))
    *parents, name = path.split(".")
    place = data
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place[parent]
    place[name] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("stages", [], "stages: must be a tuple of at least one stage"),
        ("stages", 3, "stages: must be a list"),
        ("stages.2.kernel", 4, r"stages\[2\].kernel: must be odd, not 4"),
        ("stages.2.kernel", "3", r"stages\[2\].kernel: must be an integer of at least 1, not '3'"),
        ("stages.0.op", "mbcnov", r"stages\[0\].op: must be one of .*mbconv.*, not 'mbcnov'"),
        ("stages.0.skip", "yes", r"stages\[0\].skip: must be one of identity, "),
        ("stages.1.layers", 0, r"stages\[1\].layers: must be an integer of at least 1, not 0"),
        ("stages.1.layers", True, r"stages\[1\].layers: must be an integer"),
        ("stages.1.channels", 16.0, r"stages\[1\].channels: must be an integer"),
        ("stages.1.se", -0.5, r"stages\[1\].se: must be a number"),
        ("stages.1.filters", 3, r"stages\[1\].filters: no such field; known are op, kernel"),
        ("stem.kernel", 2, "stem.kernel: must be odd"),
        ("stem.width", 2, "stem.width: no such field"),
        ("stem", [], "stem: must be an object with fields"),
        ("stem.pool", 0, "stem.pool: must be an integer of at least 1"),
        ("stem.kind", "patch", "stem.kind: must be one of conv, squeezenet, xception"),
        ("head.kind", "mlp", "head.kind: must be one of linear, squeezenet"),
        ("stages.0.inner", 0, r"stages\[0\].inner: must be a number"),
        ("stages.0.groups", 0, r"stages\[0\].groups: must be an integer"),
        ("stages.0.activation", "swish", r"stages\[0\].activation: must be one of silu, "),
        ("stages.0.norm_eps", 0, r"stages\[0\].norm_eps: must be a number"),
        ("stages.0.gate", "hard", r"stages\[0\].gate: must be a gate with a function, an activation and a divisor"),
        ("stages.0.gate", {"kind": "hard"}, r"stages\[0\].gate.kind: no such field; known are function, "),
        ("stages.0.gate", {"function": "relu"}, r"stages\[0\].gate.function: must be one of sigmoid, hardsigmoid"),
        ("stages.0.gate", {"activation": "swish"}, r"stages\[0\].gate.activation: must be one of silu, "),
        ("stages.0.gate", {"divisor": 0}, r"stages\[0\].gate.divisor: must be an integer of at least 1"),
        ("stages.0.op", "shuffle", r"stages\[0\].channels: must be more than the 32 that come in, not 16"),
        ("head.pooled", 8, "head.pooled: must be 0 in a linear head, not 8"),
        ("head.kind", "mobilenet_v3", "head.pooled: must be an integer of at least 1, not 0"),
        ("head.channels", -1, "head.channels: must be an integer of at least 0"),
        ("resolution", 0, "resolution: must be an integer of at least 1"),
        ("activation", "swish", "activation: must be one of silu"),
        ("dropout", 1.0, "dropout: must be a number from 0 to below 1"),
        ("dropout", "0.2", "dropout: must be a number"),
        ("norm_eps", 0, "norm_eps: must be a number"),
        ("norm_momentum", float("nan"), "norm_momentum: must be a number"),
        ("phi", -101, "phi: must be a number"),
        ("nonsense", 1, "nonsense: no such field; known are stages, "),
    ],
)
def test_a_wrong_field_is_named_in_one_line(path: str, value: object, message: str) -> None:
    with pytest.raises(ArchError, match=message) as raised:
        ArchSpec.from_json(altered(path, value))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 101 + "]" * 101, "nested too deeply"),
        ("9" * 5000, "not JSON"),
        ("[]", "architecture: must be an object"),
        ("{}", "stages: missing"),
        ('{"stages": [1]}', "stages"),
    ],
)
def test_what_is_no_architecture_at_all(text: str, message: str) -> None:
    with pytest.raises(ArchError, match=message) as raised:
        ArchSpec.from_json(text)
    assert "\n" not in str(raised.value)


LONG = "x" * 1_000_000
DIGITS = 10**5000


@pytest.mark.parametrize(
    "data",
    [
        {"stages": [{"op": LONG}]},
        {"stages": [{"kernel": LONG}]},
        {"stages": [{"kernel": DIGITS}]},
        {"stages": [{"channels": -DIGITS}]},
        {"stages": [{"se": DIGITS}]},
        {"stages": [{"se": {"deep": [LONG] * 1000}}]},
        {"stages": [{"gate": list(range(100_000))}]},
        {"stages": [{LONG: 1}]},
        {"stages": [{"op": "shuffle", "groups": DIGITS}]},
        {"stages": [{"op": "shuffle", "channels": 16}], "stem": {"channels": DIGITS}},
        {"stages": [{"op": "basic", "skip": "pad"}], "stem": {"channels": DIGITS}},
        {"stages": [{"op": "uib", "kernel": 0, "stride": DIGITS}]},
        {"stages": [{}], "head": {"pooled": DIGITS}},
        {"stages": [{}], LONG: 1},
    ],
)
def test_a_value_of_any_length_is_refused_in_one_line(data: dict[str, object]) -> None:
    with pytest.raises(ArchError) as raised:
        ArchSpec.from_dict(data)
    assert len(str(raised.value)) < 500
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "blocks",
    [
        LONG,
        f"r1_k3_s11_e1_i32_o16_{LONG}",
        f"r1_k3_s11_e1_i32_o{'9' * 5000}",
        f"r1_k3_s11_e1_i32_o16 r1_k3_s11_e1_i{'9' * 900}_o16",
        f"r1_k3_s11_e1_i32_o16_act{'silu' * 100}_act{'relu' * 100}",
    ],
)
def test_a_block_of_any_length_is_refused_in_one_line(blocks: str) -> None:
    with pytest.raises(ArchError, match=r"^block string '(r1_k3|xxx)") as raised:
        parse_blocks(blocks)
    assert len(str(raised.value)) < 500


def test_what_is_short_is_shown_as_it_is() -> None:
    block = "r2_k3_s11_e4_i16_o24_se0.25_gatehardsigmoid-relu-8_acthardswish_eps1e-05_mom0.1_what"
    with pytest.raises(ArchError, match=f"block string '{block}': expected .*, without 'what'"):
        parse_blocks(block)


@settings(max_examples=200, deadline=None)
@given(
    path=st.sampled_from(["stages.0.channels", "stages.0.se", "stem.stride", "resolution", "dropout", "stages.0.op"]),
    value=st.one_of(st.none(), st.text(max_size=3), st.lists(st.integers(), max_size=2), st.floats(), st.integers()),
)
def test_no_value_of_a_field_raises_anything_else(path: str, value: object) -> None:
    with contextlib.suppress(ArchError):
        assert ArchSpec.from_json(altered(path, value)) is not None
