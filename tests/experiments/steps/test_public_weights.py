"""Weights by name alone, from timm; here from a stand-in for it, since neither timm nor a network is needed to test."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from experiments.run.weights.public import public_network, public_weights
from nas.study.store import read_study
from search_spaces import build_network, reference_arch
from search_spaces.public_names import conventions
from search_spaces.weights import suited_arch
from search_spaces.weights_file import read_origin, read_weights
from tests.helpers.command import Run, expect_mistake


class FromTimm(nn.Module):
    """A network with timm's names for its tensors."""

    def __init__(self, name: str) -> None:
        super().__init__()
        arch = reference_arch(name)
        torch.manual_seed(0)
        own = build_network(arch, 1000).state_dict()
        modules = list(dict.fromkeys(key.rpartition(".")[0] for key in own))
        public = next(
            names
            for each in conventions(arch)
            if "timm" in each.label and len(names := each.names(arch)) == len(modules)
        )
        renamed = dict(zip(modules, public, strict=True))
        self.tensors = {f"{renamed[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": own[key] for key in own}
        self.pretrained_cfg = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)}

    def state_dict(self) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return self.tensors


Timm = Callable[..., list[str]]


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> Timm:
    """Puts a stand-in in timm's place, which gives networks as the known one of that name, or fails with an error.

    Returns the models that were asked for.
    """

    def install(known: str = "mobilenet_v2", error: Exception | None = None) -> list[str]:
        asked: list[str] = []

        def create_model(model: str, *, pretrained: bool) -> nn.Module:
            assert pretrained
            asked.append(model)
            if error is not None:
                raise error
            return FromTimm(known)

        module = types.ModuleType("timm")
        module.create_model = create_model  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "timm", module)
        return asked

    return install


@pytest.mark.parametrize(
    ("name", "known", "model"),
    [("mobilenet_v2", "mobilenet_v2", "mobilenetv2_100"), ("mobilenetv2_050", "mobilenet_v2", "mobilenetv2_050"),
     ("efficientnet_lite3", "efficientnet_lite3", "tf_efficientnet_lite3"), ("resnet18", "resnet18", "resnet18"),
     ("tf_efficientnet_b1", "efficientnet_b1", "tf_efficientnet_b1")],
)  # fmt: skip
def test_which_of_its_models_a_name_means(timm: Timm, tmp_path: Path, name: str, known: str, model: str) -> None:
    asked, told = timm(known), list[str]()
    assert public_network("--pretrained", name) == known
    file = public_weights("--pretrained", name, tmp_path / "weights", told.append)
    assert asked == [model]
    assert file == tmp_path / "weights" / f"{model}.safetensors"
    assert len(told) == 1
    assert f"timm is asked for {model}" in told[0]
    origin = read_origin(file)
    assert (origin.mean, origin.std) == ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    assert origin.padding == ("same" if model.startswith("tf_") else None)
    expected = FromTimm(known).tensors
    assert all(torch.equal(value, expected[key]) for key, value in read_weights(file).items())
    # What is there is not asked for again, and makes the same network.
    assert public_weights("--pretrained", name, tmp_path / "weights", told.append) == file
    assert (len(asked), len(told)) == (1, 1)
    assert suited_arch(reference_arch(known), file).stages[0].channels == reference_arch(known).stages[0].channels


def test_a_network_named_alone_is_fine_tuned_and_can_be_a_parent(
    scalenas: Run, timm: Timm, photos: Path, tmp_path: Path
) -> None:
    asked = timm()
    quick = ("--executor", "inline", "--devices", "cpu", "--resolution", "16", "--epochs", "1")
    few = ("--candidates", "3", "--seeds", "1", "--final-epochs", "2", "--space", "mbconv", "--target-macs", "6M")
    run = tmp_path / "run"
    command = ("fidelity", photos, "--run", run, *quick, *few, "--pretrained", "mobilenet_v2")
    status, _, err = scalenas(*command)
    assert status == 0, err
    assert asked == ["mobilenetv2_100"]
    assert "weights: timm is asked for mobilenetv2_100" in err
    table = pd.read_csv(run / "fidelity.csv")
    (own,) = [name for name in table.network.unique() if "pretrained" in name]
    assert own == "mobilenet_v2, pretrained, 32 px"
    assert list(table.training[table.network == own]) == ["short", "long"]
    # A short training from scratch is one without these weights; for the others it is the one that they had.
    status, _, err = scalenas(*command, "--fidelity", "1:1:scratch")
    assert status == 0, err
    table = pd.read_csv(run / "fidelity.csv")
    short, scratch = (
        table[table.training == kind].set_index("network").accuracy for kind in ("short", "short from scratch")
    )
    others = [name for name in short.index if name != own]
    assert (short[others] == scratch[others]).all()
    trials = read_study(run / "fidelity.journal", "fidelity").trials
    keys = [trial.user_attrs["request_key"] for trial in trials if trial.user_attrs["network"] == own]
    assert ["from=" in key for key in keys] == [True, True, False]
    assert all("recipe=fine_tune,normalised=0.4/0.5/0.6/0.2/0.25/0.3" in key for key in keys)
    assert len(asked) == 1  # kept in the run folder
    search = ("discover", photos, "--run", tmp_path / "parts", *quick[:4], "--epochs", "1", "--trials", "2")
    status, _, err = scalenas(*search, "--confirm", "0", "--target-macs", "2M", "--inherit", "mobilenetv2_050")
    assert status == 0, err
    assert asked[1:] == ["mobilenetv2_050"]
    baseline = json.loads((tmp_path / "parts" / "baseline.json").read_text())
    assert baseline["arch"]["head"]["channels"] <= 1280


@pytest.mark.parametrize("given", ["squeezenet1_0", "mobilenet_2", "FILE", "mobilenet_v2=", "=w.pth"])
def test_names_without_weights(scalenas: Run, timm: Timm, photos: Path, tmp_path: Path, given: str) -> None:
    asked = timm()
    words: tuple[str, ...] = ("timm has no weights of it", "mobilenet_v2", "NETWORK=FILE")
    if given == "FILE":
        given = str(tmp_path / "weights.pth")
        Path(given).write_bytes(b"weights")
        words = ("name the network of these weights", f"NETWORK={given}")
    elif "=" in given:
        words = ("--pretrained takes NAME=FILE", "NAME alone")
    expect_mistake(scalenas("compare", photos, "--run", tmp_path / "run", "--pretrained", given), *words)
    assert not asked


def test_timm_that_is_not_there_or_cannot_download(
    scalenas: Run, timm: Timm, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("compare", photos, "--run", tmp_path / "run", "--pretrained", "resnet18")
    monkeypatch.setitem(sys.modules, "timm", None)
    expect_mistake(scalenas(*command), "needs timm", "pip install timm", "--pretrained resnet18=FILE")
    timm(error=OSError("the hub\nis not to be reached"))
    expect_mistake(scalenas(*command), "OSError: the hub is not to be reached", "--pretrained resnet18=FILE")
    narrow = (*command[:-1], "mobilenetv2_050")
    expect_mistake(scalenas(*narrow), "mobilenetv2_050: timm has no weights to give", "--pretrained mobilenet_v2=FILE")
    assert not (tmp_path / "run" / "pretrained").exists()
