"""Exports: every file reads back as the same network, and the stand-alone one runs where scalenas is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from experiments.errors import UserError
from experiments.export import FORMATS, export, standalone
from experiments.export.check import difference, probe, reference
from experiments.export.program import FACTS
from experiments.export.source import Exported, load_exported
from experiments.export.standalone import standalone_source
from experiments.export.timm_text import timm_strings
from nas.training.checkpoint import save_weights
from search_spaces import (
    ArchSpec,
    HeadSpec,
    StageSpec,
    StemSpec,
    build_network,
    count_macs,
    count_params,
    mnasnet_space,
    parse_blocks,
    reference_arch,
)
from tests.helpers.run_folders import SPACE, made_up_run

Run = Callable[..., tuple[int, str, str]]
MEMBERS = mnasnet_space(3e6, 16, num_classes=7)
NEWER = ArchSpec(
    parse_blocks(
        "r2_k3_s11_e1_i16_o16_actrelu_fused_mbconv r2_k3_s22_e4_i16_o24_se0.25_fused_mbconv "
        "r2_k3_s22_e3_i24_o32_a5_acthardswish_uib r1_k0_s11_e4_i32_o32_a3_uib r1_k5_s11_e2.5_i32_o32_actrelu6"
    ),
    StemSpec(16),
    HeadSpec(64),
    resolution=32,
    padding="same",
)
GATED = parse_blocks("r1_k3_s11_e4_i32_o32_se0.5_gatehardsigmoid-relu-8_acthardswish")
"""What timm's strings cannot say."""
NETWORKS: dict[str, Callable[[], ArchSpec]] = {
    "efficientnet_b0": lambda: replace(reference_arch("efficientnet_b0"), resolution=32),
    "mnasnet_a1": lambda: replace(reference_arch("mnasnet_a1"), resolution=32),
    "member 1": lambda: shallow(MEMBERS.decode(MEMBERS.params(MEMBERS.sample(np.random.default_rng(1), 1)[0]))),
    "member 2": lambda: shallow(MEMBERS.decode(MEMBERS.params(MEMBERS.sample(np.random.default_rng(2), 1)[0]))),
    "shufflenet_v1": lambda: replace(reference_arch("shufflenet_v1"), resolution=32),
    "resnet20": lambda: shallow(reference_arch("resnet20")),
    "squeezenet1_1": lambda: replace(reference_arch("squeezenet1_1"), resolution=32),
    "newer": lambda: replace(NEWER, stages=NEWER.stages + GATED),
}
ALL = ("efficientnet_b0", "mnasnet_a1", "member 1", "member 2", "newer")


def shallow(arch: ArchSpec) -> ArchSpec:
    """With two blocks a stage at most: a third says nothing that the second does not, and takes as long to export."""
    return replace(arch, stages=tuple(replace(stage, layers=min(stage.layers, 2)) for stage in arch.stages))


def exported(arch: ArchSpec, classes: int = 7) -> Exported:
    """The network with weights and statistics that are not those it begins with."""
    torch.manual_seed(1)
    network = build_network(arch, classes)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.get_buffer("running_mean").normal_(0, 0.2)
            module.get_buffer("running_var").uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    network.eval()
    return Exported(network.arch, classes, network, "made up")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("suffix", [".py", ".json"])
def test_files_read_back_as_the_same_network(tmp_path: Path, name: str, suffix: str) -> None:
    arch = NETWORKS[name]()
    facts = export(exported(arch), tmp_path / f"net{suffix}")
    assert (facts["macs"], facts["params"]) == (count_macs(arch, None, 7), count_params(arch, 7))
    assert facts["difference"] is None if suffix == ".json" else facts["difference"] <= 1e-4


@pytest.fixture(scope="module", params=ALL)
def captured(request: pytest.FixtureRequest) -> Exported:
    """Networks that torch.export captures once for the formats that start from that, which takes most of their time."""
    return exported(NETWORKS[request.param]())


def test_a_run_says_how_many_classes(tmp_path: Path) -> None:
    folder = made_up_run(tmp_path / "run", 3)
    for given in (folder, folder / "baseline.json"):
        assert load_exported(str(given), None, None, None).num_classes == 10
    assert load_exported(str(folder), None, 4, None).num_classes == 4
    record = json.loads((folder / "baseline.json").read_text())
    (folder / "baseline.json").write_text(json.dumps({**record, "num_classes": "ten"}))
    with pytest.raises(UserError, match=r"num_classes must be .* not 'ten'"):
        load_exported(str(folder), None, None, None)


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_programs_agree_with_torch_at_any_batch(tmp_path: Path, captured: Exported, suffix: str) -> None:
    if suffix == ".onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(package, reason=f"{package} is not installed: pip install '.[export]'")
    # Each network is small; what is to be seen is that every layer of it is said rightly.
    assert export(captured, tmp_path / f"net{suffix}")["difference"] <= 1e-4
    if suffix == ".onnx":
        import onnx  # noqa: PLC0415  optional

        shape = onnx.load(tmp_path / "net.onnx").graph.input[0].type.tensor_type.shape
        assert [dim.dim_param or dim.dim_value for dim in shape.dim][:2] == ["batch", 3]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("return branch + self.shortcut(x)", "return branch"),
        ("return x * self.body(x)", "return x * 0.5"),
        ("network.load_state_dict(", "[p.detach().zero_() for p in network.parameters()]; ("),
        ("return network.eval()", "[*network.parameters()][-1].detach().fill_(torch.nan); return network.eval()"),
    ],
    ids=["no shortcut", "no squeeze-excite", "zeroed", "no numbers"],
)
def test_a_wrong_file_of_an_untrained_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str
) -> None:
    source = standalone_source

    def sabotaged(net: Exported) -> str:
        assert right in source(net)
        return source(net).replace(right, wrong)

    net = load_exported("efficientnet_b0", None, 7, 32)
    before = {name: value.clone() for name, value in net.network.state_dict().items()}
    monkeypatch.setattr(standalone, "standalone_source", sabotaged)
    with pytest.raises(AssertionError, match=r"net.py: outputs differ"):
        export(net, tmp_path / "net.py")
    assert list(tmp_path.iterdir()) == []
    assert all(torch.equal(value, before[name]) for name, value in net.network.state_dict().items())


def test_an_untrained_network_is_written_as_it_is(tmp_path: Path) -> None:
    net = load_exported("mobilenet_v2", None, 7, 32)
    assert export(net, tmp_path / "net.pt2")["difference"] <= 1e-4
    images = probe(net.arch, 2)
    found = torch.export.load(tmp_path / "net.pt2").module()(images)
    assert difference(reference(net.network, images), found.detach()) <= 1e-4


def test_outputs_that_are_no_numbers_cannot_be_checked() -> None:
    ones = torch.ones(2, 3)
    assert difference(1e-5 * ones, 0 * ones) == 1
    assert difference(ones, ones * torch.nan) == float("inf")
    with pytest.raises(UserError, match=r"not finite"):
        difference(ones * torch.nan, ones)


def test_a_discovered_network_goes_by_its_run(tmp_path: Path, scalenas: Run) -> None:
    folder = made_up_run(tmp_path / "run", 3)
    arch = ArchSpec.from_dict(json.loads((folder / "baseline.json").read_text())["arch"])
    torch.manual_seed(3)
    save_weights(build_network(arch, 10), tmp_path / "trained.safetensors")
    files = [tmp_path / f"net{suffix}" for suffix in (".py", ".json", ".pt2")]
    given = [part for file in files for part in ("-o", file)]
    status, out, err = scalenas("export", folder, "--weights", tmp_path / "trained.safetensors", "--json", *given)
    assert status == 0, err
    for facts in json.loads(out):
        assert (facts["macs"], facts["params"]) == (count_macs(arch, None, 10), count_params(arch, 10))
        assert facts["num_classes"] == 10


NAMES = ("cat", "d\u00f6g", "'@NETWORK@\" \n\udce9", "x", "y", "z", "=1")


def test_files_say_what_their_images_and_outputs_are(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install '.[export]'")
    import onnx  # noqa: PLC0415  optional

    tiny = ArchSpec((StageSpec(channels=8),), StemSpec(4), HeadSpec(8), resolution=16)
    net = replace(exported(tiny), classes=NAMES, mean=(0.5, 0.25, 0.1), std=(0.2, 0.3, 0.4))
    for suffix in (".onnx", ".pt2", ".py"):
        export(net, tmp_path / f"net{suffix}")
    said = {"resolution": 16, "channels": 3, "classes": list(NAMES), "mean": [0.5, 0.25, 0.1], "std": [0.2, 0.3, 0.4]}
    takes = {"type": "float32", "layout": "NCHW", "shape": [None, 3, 16, 16]}
    facts = {"task": "classification", "input": takes, **said}
    properties = {each.key: json.loads(each.value) for each in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert facts == {key: properties[key] for key in facts}
    with safe_open(tmp_path / "net.weights.safetensors", "pt") as file:
        assert {key: json.loads(value) for key, value in file.metadata().items()} == facts
    extra = {FACTS: ""}
    torch.export.load(tmp_path / "net.pt2", extra_files=extra)
    assert json.loads(extra[FACTS]) == facts
    namespace: dict[str, object] = {}
    exec((tmp_path / "net.py").read_text(), namespace)
    found = [namespace[name] for name in ("RESOLUTION", "CHANNELS", "NAMES", "MEAN", "STD")]
    assert found == list(said.values())
    assert namespace["FACTS"] == facts


def test_only_a_trainings_own_weights_have_its_classes() -> None:
    folder = Path(__file__).parents[1] / "old_runs" / "train"
    own = load_exported(str(folder), None, None, 16)
    record = json.loads((folder / "train.json").read_text())
    takes = {"type": "float32", "layout": "NCHW", "shape": [None, 1, 16, 16]}
    bare = {"task": "classification", "input": takes, "resolution": 16, "channels": 1}
    assert own.facts == bare | {name: record[name] for name in ("classes", "mean", "std")}
    given = load_exported(str(folder), str(folder / "weights.safetensors"), None, 16)
    fresh = load_exported("mobilenet_v2", None, 10, 16)
    assert given.facts == bare
    assert fresh.facts == bare | {"channels": 3, "input": takes | {"shape": [None, 3, 16, 16]}}
    namespace: dict[str, object] = {}
    exec(standalone_source(given), namespace)
    assert "NAMES" not in namespace


def test_the_standalone_file_runs_without_scalenas(tmp_path: Path) -> None:
    """In a Python that sees the installed libraries but neither this project nor safetensors."""
    net = exported(NETWORKS["member 1"]())
    export(net, tmp_path / "net.py")
    images = probe(net.arch, 2)
    torch.save(images, tmp_path / "images.pt")
    script = f"""
import sys
sys.path.append({sysconfig.get_paths()["purelib"]!r})
for name in ("scalenas", "search_spaces", "nas", "experiments", "safetensors", "numpy"):
    sys.modules[name] = None
import torch, net
network = net.load()
torch.save(network(torch.load("images.pt", weights_only=True)), "logits.pt")
assert sum(p.numel() for p in network.parameters()) == net.PARAMS
"""
    # -S leaves out the .pth files by which an editable install is found.
    subprocess.run([sys.executable, "-S", "-W", "ignore", "-c", script], cwd=tmp_path, env={}, check=True, timeout=300)
    logits = torch.load(tmp_path / "logits.pt", weights_only=True)
    torch.testing.assert_close(logits.detach(), reference(net.network, images), rtol=1e-5, atol=1e-5)


def test_a_standalone_file_leaves_weights_of_its_name_alone(tmp_path: Path, scalenas: Run) -> None:
    (tmp_path / "net.safetensors").write_bytes(b"trained")
    status, out, err = scalenas("export", "squeezenet1_1", "--resolution", 32, "-o", tmp_path / "net.py")
    assert status == 0, err
    assert (tmp_path / "net.safetensors").read_bytes() == b"trained"
    written = ["net.py", "net.py.model.json", "net.weights.safetensors"]
    assert out.startswith(" and ".join(str(tmp_path / name) for name in written) + ": ")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*written, "net.safetensors"])


def test_standalone_trains_as_the_network_does() -> None:
    """Dropout and stochastic depth are part of the file."""
    arch = replace(NETWORKS["member 2"](), drop_path=0.3, dropout=0.1)
    namespace: dict[str, object] = {}
    exec(standalone_source(exported(arch)), namespace)
    network, ours = namespace["build"](), build_network(arch, 7)  # type: ignore[operator]
    network.load_state_dict(ours.state_dict())
    images = probe(arch, 4)
    torch.manual_seed(5)
    found = network.train()(images)
    torch.manual_seed(5)
    torch.testing.assert_close(found, ours.train()(images))


def test_timm_strings_of_known_networks() -> None:
    assert timm_strings(reference_arch("efficientnet_b0")) == [
        "ds_r1_k3_s1_e1_c16_se0.25",
        "ir_r2_k3_s2_e6_c24_se0.25",
        "ir_r2_k5_s2_e6_c40_se0.25",
        "ir_r3_k3_s2_e6_c80_se0.25",
        "ir_r3_k5_s1_e6_c112_se0.25",
        "ir_r4_k5_s2_e6_c192_se0.25",
        "ir_r1_k3_s1_e6_c320_se0.25",
    ]
    for name in ("resnet50", "shufflenet_v1", "xception"):
        with pytest.raises(UserError, match=r"timm"):
            timm_strings(reference_arch(name))


def test_what_timm_would_round_otherwise_is_refused() -> None:
    """timm rounds expanded channels to multiples of 8, and squeezed ones to the nearest."""
    arch = reference_arch("efficientnet_b0")
    narrow = replace(arch, stages=(replace(arch.stages[0], channels=20), *arch.stages[1:]))
    fewer: dict[str, Any] = {"expand": 3}
    slim = replace(narrow, stages=(narrow.stages[0], replace(narrow.stages[1], **fewer), *narrow.stages[2:]))
    with pytest.raises(UserError, match=r"stage 2: timm rounds 60 expanded channels to a multiple of 8"):
        timm_strings(slim)
    # 20 x 6 is a multiple of 8; 0.25 of 28 is 7 for both, of 30 it is 7 for one and 8 for the other.
    assert timm_strings(narrow)[1] == "ir_r2_k3_s2_e6_c24_se0.25"
    odd = replace(arch, stem=replace(arch.stem, channels=30))
    ratio = float(timm_strings(odd)[0].rpartition("_se")[2])
    assert round(30 * ratio) == int(30 * 0.25)


@pytest.mark.parametrize("name", ["efficientnet_b0", "mnasnet_a1", "mobilenet_v2"])
def test_timm_builds_the_same_network(tmp_path: Path, name: str) -> None:
    pytest.importorskip("timm", reason="timm is not installed")
    arch = reference_arch(name)
    for stem in (arch.stem, replace(arch.stem, stride=1, channels=30)):
        net = exported(replace(arch, stem=stem, resolution=32))
        assert export(net, tmp_path / "net.txt")["difference"] <= 1e-4


@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_timm_builds_newer_blocks_too(tmp_path: Path, padding: str) -> None:
    assert timm_strings(NEWER) == [
        "cn_r2_k3_s1_e1_c16_nre_skip", "er_r2_k3_s2_e4_c24_se0.25", "uir_a5_r2_k3_s2_e3_c32_nhs",
        "uir_a3_r1_k0_s1_e4_c32", "ir_r1_k5_s1_e2.5_c32_nr6",
    ]  # fmt: skip
    with pytest.raises(UserError, match="stage 6: timm's strings have no gates"):
        timm_strings(replace(NEWER, stages=NEWER.stages + GATED))
    pytest.importorskip("timm", reason="timm is not installed")
    assert export(exported(replace(NEWER, padding=padding)), tmp_path / "net.txt")["difference"] <= 1e-4


def test_weights_say_how_many_classes(tmp_path: Path) -> None:
    arch = SPACE.decode(SPACE.params(SPACE.sample(np.random.default_rng(0), 1)[0]))
    (tmp_path / "net.json").write_text(arch.to_json())
    save_weights(build_network(arch, 13), tmp_path / "w.safetensors")
    loaded = load_exported(str(tmp_path / "net.json"), str(tmp_path / "w.safetensors"), None, None)
    assert loaded.num_classes == 13
    assert load_exported(str(tmp_path / "net.json"), None, None, None).weights.startswith("untrained")


def test_mistakes_are_told_in_one_line(tmp_path: Path, scalenas: Run) -> None:
    for given, word in (((tmp_path / "a.engine",), ".onnx"), ((tmp_path / "none" / "a.json",), "none")):
        status, _, err = scalenas("export", "mobilenet_v2", "-o", *given)
        assert status == 2
        assert word in err
        assert "Traceback" not in err
    for wrong, word in (("a.xyz", ".onnx"), ("none/a.pt2", "no folder"), ("d.py", "is a folder")):
        (tmp_path / "d.py").mkdir(exist_ok=True)
        status, _, err = scalenas("export", "no such network", "-o", tmp_path / "a.json", "-o", tmp_path / wrong)
        assert (status, word in err, err.count("\n")) == (2, True, 1), err
        assert [file.name for file in tmp_path.iterdir()] == ["d.py"]
    os.mkfifo(tmp_path / "pipe.json")
    status, _, err = scalenas("export", "mobilenet_v2", "-o", tmp_path / "pipe.json")
    assert (status, "no regular file" in err) == (2, True)
    assert (tmp_path / "pipe.json").is_fifo()
    arch = json.loads(reference_arch("mobilenet_v2").to_json())
    record: object
    for record in ({}, [], {"arch": {}}, {"arch": arch}, {"arch": arch, "classes": ["a"], "weights": None}):
        (tmp_path / "train.json").write_text(json.dumps(record))
        status, _, err = scalenas("export", tmp_path, "-o", tmp_path / "a.json")
        assert (status, "train.json" in err, err.count("\n")) == (2, True, 1), err
    status, _, err = scalenas("export", "mobilenet_v2", "-o", tmp_path / "a.json", "--weights", tmp_path / "no.pth")
    assert (status, "no.pth" in err) == (2, True)
    status, _, err = scalenas("export", "mobilenet_v2", "-o", tmp_path / "a.json", "--with-preprocessing")
    assert (status, "--with-preprocessing has no effect without" in err) == (2, True)
    assert sorted(FORMATS) == [".json", ".onnx", ".pt2", ".pte", ".py", ".tflite", ".txt"]
