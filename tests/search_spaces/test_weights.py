"""Weights files: our own names, a new classifier, frozen bodies, and what is refused."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from search_spaces import ArchSpec, StageSpec, StemSpec, build_network, reference_arch
from search_spaces.network import Network, Residual, body_and_classifier, classifier_name, freeze_body
from search_spaces.public_names import conventions
from search_spaces.weights import classes_in, load_weights, suited_arch
from search_spaces.weights_file import WeightsError, read_origin, read_weights

ARCH = ArchSpec((StageSpec(channels=8, layers=2, se=0.25), StageSpec(expand=3, channels=12)), StemSpec(8), resolution=8)
IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))


def trained(arch: ArchSpec = ARCH, num_classes: int = 5) -> Network:
    """A network whose statistics are not the initial ones."""
    torch.manual_seed(1)
    network = build_network(arch, num_classes)
    network.train()(torch.randn(4, 3, arch.resolution, arch.resolution))
    return network.eval()


def logits(network: nn.Module) -> Tensor:
    with torch.no_grad():
        answer: Tensor = network.eval()(IMAGES)
    return answer


SAVERS: dict[str, Callable[[dict[str, Tensor], Path], None]] = {
    "a.safetensors": save_file,
    "a.pth": torch.save,
    "b.pt": lambda state, path: torch.save({"epoch": 3, "state_dict": state}, path),
    "old.pth": lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
}


@pytest.mark.parametrize("name", SAVERS)
def test_our_own_weights_give_the_same_logits(tmp_path: Path, name: str) -> None:
    network = trained()
    SAVERS[name](network.state_dict(), tmp_path / name)
    other = build_network(ARCH, 5)
    assert not torch.equal(logits(other), logits(network))
    load_weights(other, tmp_path / name)
    assert torch.equal(logits(other), logits(network))
    assert other.arch == ARCH  # our own names leave the epsilon alone


def test_a_state_dict_is_copied_not_shared() -> None:
    network = trained()
    other = build_network(ARCH, 5)
    load_weights(other, network.state_dict())
    expected = logits(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(logits(other), expected)


def test_half_precision_is_widened() -> None:
    network = trained()
    other = build_network(ARCH, 5)
    load_weights(other, {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()})
    assert other.get_parameter(f"{classifier_name(other)}.weight").dtype == torch.float32
    assert torch.allclose(logits(other), logits(network), atol=1e-2)


def test_a_new_classifier_keeps_its_own_weights() -> None:
    network, other = trained(), build_network(ARCH, 7).eval()
    fresh = other.get_parameter(f"{classifier_name(other)}.weight").clone()
    load_weights(other, network.state_dict(), head=False)
    assert torch.equal(other.get_parameter(f"{classifier_name(other)}.weight"), fresh)
    bodies = [nn.Sequential(each.get_submodule("stem"), each.get_submodule("stages")) for each in (other, network)]
    assert torch.equal(bodies[0](IMAGES), bodies[1](IMAGES))
    without = {k: v for k, v in network.state_dict().items() if not k.startswith(classifier_name(network))}
    load_weights(build_network(ARCH, 7), without, head=False)


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v2", "resnet18", "squeezenet1_1"])
def test_public_names_of_every_convention_load_too(name: str) -> None:
    arch = replace(reference_arch(name), resolution=32, norm_eps=2e-3)
    source, networks = trained(arch, 4), []
    own = source.state_dict()
    modules = list(dict.fromkeys(key.rpartition(".")[0] for key in own))
    for convention in conventions(arch):
        public = convention.names(arch)
        if len(public) == len(modules):
            names = dict(zip(modules, public, strict=True))
            # Sorted, as .safetensors files are: nothing may depend on the order of keys.
            keys = sorted(own, key=lambda key: names[key.rpartition(".")[0]] + key)
            state = {f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": own[key] for key in keys}
            network = build_network(suited_arch(arch, state), 4)
            load_weights(network, state)
            networks.append(network)
            assert network.arch.padding == (convention.padding or "symmetric")
            assert network.arch.norm_eps == (1e-3 if convention.padding else 1e-5)
            assert all(torch.equal(value, own[key]) for key, value in network.state_dict().items())
    assert networks
    assert all(m.eps == n.arch.norm_eps for n in networks for m in n.modules() if isinstance(m, nn.BatchNorm2d))


def test_torchvision_builds_its_large_efficientnets_with_another_epsilon() -> None:
    label_and_eps = {
        (convention.label, convention.norm_eps(reference_arch(name)))
        for name in ("efficientnet_b4", "efficientnet_b5")
        for convention in conventions(reference_arch(name))
        if convention.label in ("timm", "torchvision") and convention.scheme.endswith(("timm", "efficientnet"))
    }
    assert label_and_eps == {("timm", 1e-5), ("torchvision", 1e-5), ("torchvision", 1e-3)}


# --- Fine-tuning ---------------------------------------------------------------------------------------------------


def test_parameters_are_split_into_body_and_classifier() -> None:
    network = trained()
    body, classifier = body_and_classifier(network)
    assert [p.shape for p in classifier] == [(5, 1280), (5,)]
    assert len(body) + 2 == len(list(network.parameters()))
    squeezenet = build_network(reference_arch("squeezenet1_1"), 5)
    assert [p.shape for p in body_and_classifier(squeezenet)[1]] == [(5, 512, 1, 1), (5,)]


def test_a_frozen_body_stays_as_it_is_while_the_classifier_learns() -> None:
    network = trained()
    freeze_body(network)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1)
    for _ in range(3):
        network.train()
        torch.nn.functional.cross_entropy(network(IMAGES), torch.tensor([0, 1])).backward()
        optimiser.step()
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {f"{classifier_name(network)}.weight", f"{classifier_name(network)}.bias"}
    assert not any(m.training for m in network.modules() if isinstance(m, nn.BatchNorm2d | Residual))


# --- What is refused -----------------------------------------------------------------------------------------------


def refused(network: nn.Module, source: object, message: str) -> None:
    """One line with `message`, and not a weight changed."""
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(WeightsError, match=message) as raised:
        load_weights(network, source)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_weights_of_another_network() -> None:
    network = build_network(ARCH, 5)
    refused(
        network, build_network(reference_arch("resnet18")).state_dict(), "not weights of this network: keys such as"
    )
    refused(network, build_network(ARCH, 6).state_dict(), r"has shape \(6, 1280\), this network's is \(5, 1280\)")
    wider = replace(ARCH, stages=(ARCH.stages[0], replace(ARCH.stages[1], channels=16)))
    refused(network, build_network(wider, 5).state_dict(), "weights of another network")
    refused(network, build_network(ARCH, 6).state_dict(), "of other classes; load all but the classifier")
    deeper = replace(ARCH, stages=(replace(ARCH.stages[0], layers=3), ARCH.stages[1]))
    refused(network, build_network(deeper, 5).state_dict(), "holds besides 'stages.0.2")
    refused(build_network(deeper, 5), network.state_dict(), "lacks 'stages.0.2")


def test_missing_keys() -> None:
    state = trained().state_dict()
    state.pop("stem.0.weight")
    refused(build_network(ARCH, 5), state, r"lacks 'stem.0.weight' \(1 in all\)")
    refused(build_network(ARCH, 5), {}, "holds no state dict")
    refused(build_network(ARCH, 5), {"stem.0.weight": 3}, "is no tensor")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value * float("nan"), "holds numbers that are not finite"),
        (lambda value: value.double() + 1e300, "holds numbers that are not finite"),  # beyond single precision
        (lambda value: value.long(), "holds torch.int64 in place of floating-point numbers"),
        (lambda value: value.bool(), "holds torch.bool in place"),
        (lambda value: value + 1j, "holds torch.complex64 in place"),
        (lambda value: value.to_sparse(), "sparse or empty tensor"),
        (lambda value: value.to("meta"), "sparse or empty tensor"),
    ],
)
def test_tensors_that_hold_no_weights(change: Callable[[Tensor], Tensor], message: str) -> None:
    state = trained().state_dict()
    state["stem.0.weight"] = change(state["stem.0.weight"])
    refused(build_network(ARCH, 5), state, f"stem.0.weight (is a |){message}")


class Malice:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    for name, write in {
        "plain.pth": lambda path: path.write_bytes(pickle.dumps({"stem.0.weight": Malice(trace)})),
        "torch.pth": lambda path: torch.save({"stem.0.weight": Malice(trace)}, path),
        "module.pth": lambda path: torch.save(build_network(ARCH, 5), path),
    }.items():
        write(tmp_path / name)
        refused(build_network(ARCH, 5), tmp_path / name, "none of which was run")
        assert not trace.exists()
    pickle.loads((tmp_path / "plain.pth").read_bytes())
    assert trace.exists()  # it would have run


@pytest.mark.parametrize("name", SAVERS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.999])
def test_files_that_were_cut_short(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    SAVERS[name](trained().state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(build_network(ARCH, 5), path, name)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    network = build_network(ARCH, 5)
    for name in ("a.pth", "a.safetensors", "a.pt"):
        (tmp_path / name).write_text("hello, I am no weights")
        refused(network, tmp_path / name, name)
    with zipfile.ZipFile(tmp_path / "z.pth", "w") as archive:
        archive.writestr("readme", "hello")
    refused(network, tmp_path / "z.pth", "z.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    refused(network, tmp_path / "list.pth", "holds no state dict")
    refused(network, tmp_path / "missing.pth", "no such file")
    refused(network, tmp_path, "is a folder; give the weights file in it")
    for name in ("empty.pth", "empty.safetensors"):
        (tmp_path / name).touch()
        refused(network, tmp_path / name, f"{name}: is empty")
    for name, content in {"a.onnx": b"x", "a.h5": b"\x89HDF\r\n\x1a\n" + bytes(99), "a.pth": b"<html></html>"}.items():
        (tmp_path / name).write_bytes(content)
        refused(network, tmp_path / name, "neither a .safetensors file nor one that torch.save wrote")


def test_read_weights_gives_the_tensors(tmp_path: Path) -> None:
    state = trained().state_dict()
    torch.save({"model": state}, tmp_path / "a.pth")
    read = read_weights(tmp_path / "a.pth")
    assert read.keys() == state.keys()
    assert all(torch.equal(read[key], state[key]) for key in state)


PREFIXED = ["module.", "_orig_mod.", "model.", "module._orig_mod.", "ema_model.module."]
WRAPPED = [None, "state_dict", "model_state_dict", "model", "net", "state_dict_ema", "model_ema", "ema"]


@pytest.mark.parametrize("prefix", PREFIXED)
@pytest.mark.parametrize("wrapper", WRAPPED)
def test_names_as_training_tools_write_them_are_understood(tmp_path: Path, prefix: str, wrapper: str | None) -> None:
    state = {"a.weight": torch.ones(2), "b.bias": torch.zeros(1)}
    content = {prefix + key: value for key, value in state.items()}
    for name in ("w.pth", "model_best.pth.tar", "last.ckpt", "weights", "w.bin", "w.model.v2"):
        torch.save(content if wrapper is None else {wrapper: content, "epoch": 3}, tmp_path / name)
        assert read_weights(tmp_path / name).keys() == state.keys()


def test_the_kind_of_a_file_is_told_by_its_content(tmp_path: Path) -> None:
    state = {"module.a.weight": torch.ones(2)}
    save_file(state, tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth").keys() == {"a.weight"}


def test_averaged_weights_come_before_those_of_the_last_step(tmp_path: Path) -> None:
    average = {"module.a.weight": torch.full((2,), 7.0), "n_averaged": torch.tensor(9)}
    torch.save({"state_dict": {"a.weight": torch.ones(2)}, "state_dict_ema": average}, tmp_path / "w.pth")
    read = read_weights(tmp_path / "w.pth")
    assert list(read) == ["a.weight"]
    assert read["a.weight"].tolist() == [7, 7]


# --- What weights tell of their network ----------------------------------------------------------------------------


def public_state(arch: ArchSpec, label: str, num_classes: int = 4) -> dict[str, Tensor]:
    """Weights of `arch` under the names of the convention of that label."""
    own = trained(arch, num_classes).state_dict()
    modules = list(dict.fromkeys(key.rpartition(".")[0] for key in own))
    convention = next(
        each for each in conventions(arch) if each.label == label and len(each.names(arch)) == len(modules)
    )
    names = dict(zip(modules, convention.names(arch), strict=True))
    return {f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": own[key] for key in own}


@pytest.mark.parametrize(
    ("name", "label"),
    [("mobilenet_v1", "timm"), ("mobilenet_v2", "torchvision"), ("efficientnet_b0", "EfficientNet-PyTorch"),
     ("efficientnet_lite0", "timm"), ("mnasnet_b1", "torchvision"), ("mobilenet_v3_small", "timm"),
     ("mobilenet_v3_large", "torchvision"), ("mobilenet_v4_conv_small", "timm")],
)  # fmt: skip
def test_widths_and_channels_are_those_of_the_tensors(name: str, label: str) -> None:
    published = replace(reference_arch(name), resolution=32)
    narrow = replace(
        published,
        input_channels=3,
        stem=replace(published.stem, channels=5),
        stages=tuple(replace(stage, channels=1 + stage.channels // 4) for stage in published.stages),
    )
    if narrow.head.channels:
        narrow = replace(narrow, head=replace(narrow.head, channels=13))
    if narrow.head.pooled:
        narrow = replace(narrow, head=replace(narrow.head, pooled=17))
    state = public_state(narrow, label)
    suited = suited_arch(published, state)
    assert replace(suited, padding="symmetric").id == narrow.id
    assert classes_in(published, state) == 4
    load_weights(build_network(suited, 4), state)


def test_grey_weights_without_a_classifier(tmp_path: Path) -> None:
    grey = replace(reference_arch("mobilenet_v1"), resolution=32, input_channels=1)
    network = build_network(grey, 4)
    state = {k: v for k, v in network.state_dict().items() if not k.startswith(classifier_name(network))}
    save_file(state, tmp_path / "grey.safetensors")
    assert suited_arch(reference_arch("mobilenet_v1"), tmp_path / "grey.safetensors").input_channels == 1
    assert classes_in(grey, tmp_path / "grey.safetensors") is None
    load_weights(build_network(grey, 7), tmp_path / "grey.safetensors", head=False)


def test_weights_from_tensorflow_are_not_loaded_into_a_network_that_pads_otherwise() -> None:
    arch = replace(reference_arch("efficientnet_lite0"), resolution=32)
    state = public_state(arch, "EfficientNet-PyTorch")
    refused(build_network(arch, 4), state, 'of a network with padding "same", this one has "symmetric"')


def test_a_record_beside_the_weights_tells_padding_and_epsilon(tmp_path: Path) -> None:
    arch = replace(reference_arch("mobilenet_v1"), resolution=32)
    save_file(public_state(arch, "timm"), tmp_path / "w.safetensors")
    (tmp_path / "w.json").write_text('{"padding": "same", "norm_eps": 0.002, "mean": [0.5], "std": [0.25], "by": "me"}')
    suited = suited_arch(arch, tmp_path / "w.safetensors")
    network = build_network(suited, 4)
    load_weights(network, tmp_path / "w.safetensors")
    assert (network.arch.padding, network.arch.norm_eps) == ("same", 0.002)
    origin = read_origin(tmp_path / "w.safetensors")
    assert (origin.mean, origin.std, origin.classes) == ((0.5,), (0.25,), None)


def test_the_metadata_of_a_file_tell_the_same(tmp_path: Path) -> None:
    said = {"mean": "[0.5, 0.4, 0.3]", "std": "[1, 1, 1]", "classes": '["a", "b"]', "format": "pt"}
    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors", metadata=said)
    origin = read_origin(tmp_path / "w.safetensors")
    assert (origin.mean, origin.std, origin.classes) == ((0.5, 0.4, 0.3), (1, 1, 1), ("a", "b"))
    assert origin.padding is None


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"padding": "valid"}', "padding: must be one of"),
        ('{"norm_eps": "1e-3"}', "norm_eps: must be a number"),
        ('{"mean": 0.5}', "mean: must be a list"),
        ('{"std": [0.0]}', "std: must be a number"),
        ('{"std": [127.5, 127.5, 127.5]}', "std: must be a number"),
        ('{"mean": [NaN]}', "mean: must be a number"),
        ("{", "cannot be read"),
    ],
)
def test_a_record_that_cannot_be_meant_is_named(tmp_path: Path, record: str, message: str) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pth")
    (tmp_path / "w.json").write_text(record)
    with pytest.raises(WeightsError, match=message) as error:
        read_origin(tmp_path / "w.pth")
    assert "w.json" in str(error.value)


def test_what_fits_best_is_named_with_what_is_missing() -> None:
    arch = replace(reference_arch("efficientnet_b0"), resolution=32)
    state = public_state(arch, "timm")
    part = {key: value for key, value in state.items() if key < "blocks.2"}
    refused(build_network(arch, 4), part, r"timm fit best, of which \d+ of \d+ are there, without 'conv_stem")
