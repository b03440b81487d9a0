"""What holds for every op: counts, old files, ids of journals, the one line that a wrong stage gets."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import experiments
from search_spaces import ArchError, ArchSpec, HeadSpec, Stage, StageSpec, StemSpec, build_network, count_params
from search_spaces.arch import canonical
from search_spaces.ops import OPS
from tests.search_spaces.test_arch import archs, stage_of

RESULTS = Path(experiments.__file__ or "").parent / "results"
UNION = {"kernel": 3, "stride": 1, "expand": 1, "se": 0.0, "skip": "identity", "channels": 16, "layers": 1,
         "inner": 0.25, "groups": 1}  # fmt: skip
"""The fields that every stage had when there was one class for all ops."""


@pytest.mark.parametrize("op", OPS)
def test_a_stage_is_of_its_op(op: str) -> None:
    stage = StageSpec(op, kernel=5, layers=2)
    assert type(stage) is OPS[op]
    assert (stage.op, stage.kernel, stage.layers, stage.stride, stage.channels) == (op, 5, 2, 1, 16)
    assert asdict(stage)["op"] == op
    assert replace(stage, kernel=7) == StageSpec(op, kernel=7, layers=2)
    assert StageSpec(**asdict(stage)) == stage
    assert (stage.expand, stage.se, stage.skip, stage.groups) == (1, 0.0, "identity", 1)
    assert stage.label
    assert stage.term.startswith(op)
    assert {token.field for token in type(stage).tokens} <= {each.name for each in fields(stage)}


@settings(max_examples=60, deadline=None)
@given(archs)
def test_the_built_network_has_the_counted_parameters(arch: ArchSpec) -> None:
    with torch.device("meta"):
        network = build_network(arch, 10)
        logits = network.eval()(torch.zeros(1, 3, arch.resolution, arch.resolution))
    assert sum(p.numel() for p in network.parameters()) == count_params(arch, 10)
    assert logits.shape == (1, 10)


@settings(max_examples=100, deadline=None)
@given(stage=st.sampled_from(sorted(OPS)).flatmap(stage_of), ignored=st.fixed_dictionaries({
    "expand": st.integers(1, 6), "se": st.sampled_from([0.0, 0.25]), "skip": st.sampled_from(["none", "pool"]),
    "inner": st.sampled_from([0.25, 0.5]), "groups": st.integers(1, 3),
}))  # fmt: skip
def test_files_of_before_are_read_whatever_stands_in_fields_of_other_ops(
    stage: Stage, ignored: dict[str, object]
) -> None:
    arch = ArchSpec((stage,), StemSpec(8))
    for others in (UNION, UNION | ignored):
        data = asdict(arch)
        data["stages"] = [{**others, **data["stages"][0]}]
        assert ArchSpec.from_dict(json.loads(json.dumps(data))) == arch


def test_ids_in_journals_are_those_of_their_networks() -> None:
    """The journals were written when a stage had the fields of all ops."""
    pinned = {}
    for path in sorted(RESULTS.glob("*/*.journal")):
        trials: dict[int, dict[str, object]] = {}
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            for name in entry.get("user_attr", {}).keys() & {"arch", "arch_id"}:
                trials.setdefault(entry["trial_id"], {})[name] = entry["user_attr"][name]
        for attrs in trials.values():
            if len(attrs) == 2:
                pinned[attrs["arch_id"]] = attrs["arch"]
    assert len(pinned) > 50
    for identity, data in pinned.items():
        arch = ArchSpec.from_dict(data)
        assert arch.id == identity
        assert canonical(ArchSpec.from_json(arch.to_json())).id == identity


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"op": "mbcnov"}, "op: must be one of conv, .*, not 'mbcnov'"),
        ({"op": ["conv"]}, "op: must be one of"),
        ({"filters": 3}, "filters: no such field; known are op, kernel"),
        ({"op": "conv", "inner": 0}, "inner: must be a number"),
    ],
)
def test_a_stage_that_cannot_be_is_named_at_once(values: dict[str, object], message: str) -> None:
    with pytest.raises(ArchError, match=message) as raised:
        StageSpec(**values)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_stages_are_stages() -> None:
    with pytest.raises(ArchError, match=r"stages\[0\]: must be a stage, not str"):
        ArchSpec(("conv",))  # type: ignore[arg-type]
    assert ArchSpec((StageSpec(),), head=HeadSpec(0)).stages[0] == StageSpec("mbconv")


@pytest.mark.parametrize("op", [op for op, kind in OPS.items() if kind.timm_text is Stage.timm_text])
def test_an_op_that_timm_lacks_is_named(op: str) -> None:
    with pytest.raises(ArchError, match=f"^timm's strings have no {op}$"):
        StageSpec(op).timm_text(16)
