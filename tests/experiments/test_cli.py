"""The command as a user meets it: answers, exit statuses, and one clear line for each mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from experiments.records import FamilyRecord
from experiments.run.folder import RunFolder
from nas.study.store import read_study
from search_spaces import REFERENCE_NAMES, ArchSpec, HeadSpec, StageSpec, StemSpec, count_macs, reference_arch
from tests.helpers.command import Run, expect_mistake
from tests.helpers.run_folders import made_up_run

SMALL = ("--devices", "cpu", "--target-macs", "1M", "--trials", "2", "--epochs", "1")


def images(folder: Path, **classes: int) -> Path:
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (12, 12), (i * 20 % 255, 80, 10)).save(folder / name / f"{i}.jpg")
    return folder


@pytest.mark.parametrize("command", ["discover", "scale", "compare", "train"])
def test_a_first_look_at_a_folder_ends_with_a_summary(scalenas: Run, tmp_path: Path, command: str) -> None:
    folder = images(tmp_path / "pets" / "training", cat=12, dog=12)
    images(tmp_path / "pets" / "dev", cat=4, dog=4)
    images(tmp_path / "pets" / "raw", heap=3)
    (folder / "cat" / "phone.heic").write_text("")
    network = ("mobilenet_v2",) if command == "train" else ()
    refused = {"discover": ("--space", "none"), "train": ("--weights", tmp_path / "none.pth")}  # what comes later
    options = refused.get(command, ("--arch", "none"))
    status, _, err = scalenas(command, *network, tmp_path / "pets", "--run", tmp_path / "run", *options)
    assert status == 2
    data, *remarks = [line for line in err.splitlines()[:-1] if not line.startswith("[decode]")]
    assert data == f"data: {tmp_path / 'pets'}, 2 classes, 24 train, 8 val images of 12 pixels"
    assert remarks[0] == "  splits: training/ is train, dev/ is val, nothing is held out for testing"
    assert "  warning: not used: raw/" in remarks
    assert any(line.startswith("  warning: passed over: 1 .heic") for line in remarks)
    assert any("duplicates: 8 of val also in train" in line for line in remarks)
    assert len(remarks) <= 9


def test_names_of_networks_are_listed_and_completed(scalenas: Run) -> None:
    _, out, _ = scalenas("inspect", "--help")
    families = {name.rstrip("0123456789") for name in REFERENCE_NAMES}
    assert [name for name in sorted(families) if name not in out] == []
    for line, offered in (("inspect resnet1", "resnet18"), ("export mobilenet_v4", "mobilenet_v4_conv_small")):
        words = {"_SCALENAS_COMPLETE": "bash_complete", "COMP_WORDS": f"scalenas {line}", "COMP_CWORD": "2"}
        answer = subprocess.run(
            [sys.executable, "-c", "from experiments.cli import cli; cli(prog_name='scalenas')"],
            env={**os.environ, **words}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        first, *names = answer.stdout.splitlines()
        assert first.startswith("file,")  # after which bash's script forgets what it had
        assert f"plain,{offered}" in names


def test_inspect_prints_the_published_counts(scalenas: Run) -> None:
    status, out, _ = scalenas("inspect", "efficientnet_b0", "--json")
    facts = json.loads(out)
    assert status == 0
    assert (facts["macs"], facts["params"]) == (385_814_752, 5_288_548)
    assert sum(stage["macs"] for stage in facts["stages"]) == facts["macs"]
    _, out, _ = scalenas("inspect", "resnet110", "--json")
    assert json.loads(out)["macs"] == count_macs(reference_arch("resnet110"))
    _, table, _ = scalenas("inspect", "mnasnet_a1", "--resolution", "96")
    assert "stage 7" in table


def test_inspect_shows_memory_and_what_others_count(scalenas: Run) -> None:
    arguments = ("mobilenet_v1_025", "--resolution", "128", "--num-classes", "5", "--verify")
    _, out, _ = scalenas("inspect", *arguments, "--json")
    facts = json.loads(out)
    # The stem's 8 channels at 64 pixels become 16 of as many: 24 x 64 x 64.
    assert (facts["ram"], facts["peak_in"]) == ({"int8": 24 * 64**2, "float32": 4 * 24 * 64**2}, "stage 1")
    assert facts["stages"][1]["peak_at"] == "block 1, 1x1 convolution"
    assert facts["flash"]["int8"] == sum(row["flash"]["int8"] for row in facts["stages"])
    assert facts["verified"] == {"macs": facts["macs"], "params": facts["params"]}
    _, table, _ = scalenas("inspect", *arguments)
    assert "peak RAM 98,304 bytes in int8" in table
    assert "13,315,328 MACs by fvcore, 214,357 params by torch; both as counted" in table


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("net.json", "--data", "digits"), "--data has no effect without a file .int8.onnx"),
        (("net.int8.onnx",), "give --data DATA"),
        (("net.int8.onnx", "--data", "digits", "--num-classes", "3"), "leave out --weights and the like"),
        (("net.int8.onnx", "--data", "digits"), "mobilenet_v1_025: int8 takes a trained network: a file of"),
        (("net.int8.onnx", "--data", "digits", "--with-preprocessing"), "net.int8.onnx: int8 takes no --with-prep"),
        (("net.py", "-o", "net.int8.onnx", "--data", "digits", "--with-preprocessing"), "int8 takes no --with-prep"),
    ],
)
def test_what_a_file_in_int8_takes(scalenas: Run, arguments: tuple[str, ...], words: str) -> None:
    expect_mistake(scalenas("export", "mobilenet_v1_025", "-o", *arguments), words)


@pytest.mark.parametrize(
    "arguments",
    [("discover", "digits", "--int8"), ("discover", "digits", "--metric", "int8"), ("compare", "digits", "--int8"),
     ("run", "digits", "--int8", "--max-ram", "9k"),
     ("export", "a.safetensors", "-o", "a.int8.onnx", "--data", "digits")],
)  # fmt: skip
def test_int8_without_its_packages(
    scalenas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    folder = () if arguments[0] == "export" else ("--run", tmp_path / "run")
    answer = scalenas(*arguments, *folder)
    expect_mistake(answer, "int8 needs the packages onnx, onnxscript and onnxruntime: pip install")
    assert len(answer[2].splitlines()) == 1  # nothing is said of data, which are not opened


@pytest.mark.parametrize("command", ["frontier", "discover"])
def test_a_latency_command_without_the_packages_for_its_file(
    scalenas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    arguments: tuple[str | Path, ...] = ("digits", "--run", tmp_path / "run", "--cost", "latency", *SMALL[:2])
    if command == "frontier":
        arguments = (Path(__file__).parent / "old_runs" / "full", "-o", tmp_path / "drawn.png", "-x", "latency")
    answer = scalenas(command, *arguments, "--latency-command", "echo 1 # {onnx}")
    expect_mistake(answer, "--latency-command with {onnx} needs the packages onnx and onnxscript: pip install")


def test_inspect_shows_a_detectors_parts(scalenas: Run) -> None:
    status, out, _ = scalenas("inspect", "efficientdet_d0", "--json")
    assert status == 0
    facts = json.loads(out)
    # Tan, Pang and Le 2020, table 2: 3.9 M parameters, 2.5 G multiply-adds.
    assert facts["params"] == pytest.approx(3.9e6, rel=0.03)
    assert facts["macs"] == pytest.approx(2.5e9, rel=0.03)
    assert [row["stage"] for row in facts["stages"]] == ["backbone", "BiFPN", "class head", "box head"]
    assert sum(row["macs"] for row in facts["stages"]) == facts["macs"]
    _, out, _ = scalenas("inspect", "efficientdet_d0", "--json", "--resolution", "256", "--num-classes", "3")
    assert json.loads(out)["macs"] < facts["macs"] / 3
    _, table, _ = scalenas("inspect", "efficientdet_d0")
    assert "BiFPN" in table
    expect_mistake(scalenas("export", "efficientdet_d0", "-o", "net.json"), "is a detector", "scalenas inspect")
    expect_mistake(scalenas("inspect", "efficientdet_d0", "--resolution", "4"), "a detector needs maps")
    expect_mistake(scalenas("inspect", "efficientdet_d0", "--verify"), "--verify builds classifiers alone")


def test_help_and_version(scalenas: Run) -> None:
    status, out, _ = scalenas("--help")
    assert status == 0
    for command in ("run", "discover", "scale", "compare", "frontier", "inspect", "status", "redraw"):
        assert f"\n  {command} " in out
    assert scalenas("--version")[0] == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--target-macs", "0"), ["target"]),
        (("--target-macs", "10"), ["target", "reach"]),
        (("--target-macs", "900G"), ["target", "reach"]),
        (("--target-macs", "many"), ["target"]),
        (("--exponent", "0.5"), ["exponent", "0.5"]),
        (("--exponent", "a"), ["exponent"]),
        (("--sampler", "oracle"), ["oracle", "random"]),
        (("--space", "flat"), ["flat", "mnasnet"]),
        (("--space", "nowhere:space"), ["nowhere"]),
        (("--devices", "tpu:0"), ["tpu:0"]),
        (("--devices", "cuda:99"), ["cuda:99"]),
        (("--trials", "0"), ["trials"]),
        (("--epochs", "0"), ["epochs"]),
        (("--resolution", "big"), ["resolution"]),
        (("--resolution", "²"), ["resolution"]),
        (("--resolution", "9"), ["resolution", "8 pixels"]),
        (("--seed", "99999999999999"), ["seed"]),
        (("--score", "hard", "--exponent", "-1"), ["exponent"]),
        (("--space", "os:getcwd"), ["os:getcwd"]),
        (("--preset", "nothing"), ["nothing", "demo"]),
        (("--no-such-option",), ["no-such-option"]),
    ],
)
def test_discover_options_that_cannot_be(
    scalenas: Run, tmp_path: Path, args: tuple[str, ...], words: list[str]
) -> None:
    # An option given twice takes its last value.
    expect_mistake(scalenas("discover", "digits", "--run", tmp_path / "r", *SMALL, *args), *words)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--points", "nominal", "--tolerance", "0", "--step", "0.3"), ["tolerance"]),
        (("--points", "square"), ["square", "matched"]),
        (("--arch", "efficientnet_b99"), ["efficientnet_b99", "efficientnet_b0"]),
        (("--seeds", "0"), ["seeds"]),
        (("--lengths", "5,0"), ["lengths", "from 1"]),
        (("--lengths", "5,ten"), ["lengths", "5,10"]),
    ],
)
def test_scale_options_that_cannot_be(scalenas: Run, tmp_path: Path, args: tuple[str, ...], words: list[str]) -> None:
    answer = scalenas("scale", "digits", "--run", tmp_path / "r", "--devices", "cpu", "--target-macs", "1M", *args)
    expect_mistake(answer, *words)


COARSE = ArchSpec((StageSpec(op="conv", channels=4, stride=2),), StemSpec(4), HeadSpec(0), 8, input_channels=1)
FINE = ArchSpec((StageSpec(channels=16),), StemSpec(8), resolution=8, input_channels=1)


@pytest.mark.parametrize(("arch", "coarse"), [(COARSE, True), (FINE, False)])
def test_a_baseline_too_coarse_for_a_surface_is_told_before_anything_is_trained(
    scalenas: Run, tmp_path: Path, arch: ArchSpec, coarse: bool
) -> None:
    (tmp_path / "net.json").write_text(arch.to_json())
    status, out, err = scalenas(
        "scale", "digits", "--run", tmp_path / "r", "--arch", tmp_path / "net.json", "--cache", tmp_path / "cache",
        "--executor", "inline", "--devices", "cpu", "--lengths", "1", "--seeds", "1", "--dry-run",
    )  # fmt: skip
    assert status == 0, err
    assert ("networks of about twice the cost can be built from this baseline" in out + err) == coarse


@pytest.mark.parametrize(("asked", "said"), [("7", True), ("8", False), ("max:7", False), ("auto", False)])
def test_a_given_baseline_takes_the_resolution_that_is_asked_for(
    scalenas: Run, tmp_path: Path, asked: str, said: bool
) -> None:
    (tmp_path / "net.json").write_text(FINE.to_json())
    scale = (
        "scale", "digits", "--train-images", "32", "--run", tmp_path / "r", "--arch", tmp_path / "net.json",
        "--evaluator", "tests.helpers.evaluators:formula_for", "--executor", "inline", "--lengths", "1", "--seeds", "1",
        "--plot-phi", "0", "--resolution", asked,
    )  # fmt: skip
    for _ in range(2):  # the same again goes on with the same network, although both share points of their grids
        status, _, err = scalenas(*scale)
        assert status == 0, err
        assert ("net.json: 7 px in place of 8" in err) == said
        members = RunFolder(tmp_path / "r").get(FamilyRecord).members
        assert [member.arch.resolution for member in members if member.phi == 0] == [7 if said else 8]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path / "missing", ["missing"]),
        (lambda path: images(path / "empty") if (path / "empty").mkdir() is None else path, ["empty"]),
        (lambda path: images(path / "one", cats=6), ["one class"]),
        (lambda path: images(path / "single", cats=6, dogs=1), ["dogs"]),
    ],
)
def test_folders_that_cannot_be_used(
    scalenas: Run, tmp_path: Path, make: Callable[[Path], Path], words: list[str]
) -> None:
    expect_mistake(scalenas("discover", make(tmp_path), "--run", tmp_path / "r", *SMALL), *words)


def test_a_text_file_as_the_only_image_of_a_class(scalenas: Run, tmp_path: Path) -> None:
    folder = images(tmp_path / "data", cats=6)
    (folder / "dogs").mkdir()
    (folder / "dogs" / "0.jpg").write_text("not an image")
    expect_mistake(scalenas("discover", folder, "--run", tmp_path / "r", *SMALL), "dogs")


def test_architecture_files_with_wrong_fields(scalenas: Run, tmp_path: Path) -> None:
    path = tmp_path / "arch.json"
    path.write_text(reference_arch("efficientnet_b0").to_json().replace('"kernel": 5', '"kernel": "five"', 1))
    expect_mistake(scalenas("inspect", path), "arch.json", "kernel", "five")
    path.write_text("{")
    expect_mistake(scalenas("inspect", path), "arch.json")
    path.write_text('{"stages": [], "colour": 1}')
    expect_mistake(scalenas("inspect", path), "colour")


@pytest.mark.parametrize("content", ['{"trials": 2.5}', '{"devices": 3}', '{"arch": "mobilenet_v2"}', "[]", "{"])
def test_presets_with_wrong_values(scalenas: Run, tmp_path: Path, content: str) -> None:
    (tmp_path / "mine.json").write_text(content)
    expect_mistake(scalenas("discover", "digits", "--run", tmp_path / "r", "--preset", tmp_path / "mine.json"), "mine")


def test_a_refused_command_leaves_the_folder_free(scalenas: Run, tmp_path: Path) -> None:
    expect_mistake(scalenas("discover", "digits", "--run", tmp_path / "r", *SMALL, "--target-macs", "5"), "reach")
    assert not (tmp_path / "r" / "run.json").exists()


@pytest.mark.parametrize(
    "command", ["run", "discover", "scale", "compare", "train", "frontier", "inspect", "status", "redraw"]
)
def test_every_command_has_help(scalenas: Run, command: str) -> None:
    status, out, _ = scalenas(command, "--help")
    assert status == 0
    assert out.startswith("Usage: scalenas ")


def test_no_command_shows_what_there_is(scalenas: Run) -> None:
    status, _, err = scalenas()
    assert status == 2
    assert "\n  discover " in err


def test_a_run_folder_that_cannot_be_written(scalenas: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    expect_mistake(scalenas("discover", "digits", "--run", tmp_path / "file" / "r", *SMALL), "cannot be written")


OWN = ("--evaluator", "tests.helpers.evaluators:formula_for", "--executor", "inline", "--train-images", "64")


@pytest.mark.parametrize("content", [b"", b'{"op_code":0,"wor'])
def test_a_journal_in_which_nothing_is_yet(scalenas: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "discover.journal").write_bytes(content)
    status, out, err = scalenas("discover", "digits", "--run", tmp_path, *SMALL, *OWN, "--dry-run", "--json")
    assert status == 0, err
    told = json.loads(out)
    assert told["work"][0]["trainings"] == 2
    assert told["macs"] is None
    assert "MACs" not in next(line for line in err.splitlines() if line.startswith("forecast: "))
    assert "multiply-adds and time unknown" in err
    status, _, err = scalenas("discover", "digits", "--run", tmp_path, *SMALL, *OWN, "--confirm", "0")
    assert status == 0, err
    assert len(read_study(tmp_path / "discover.journal", "discover").trials) == 2


@pytest.mark.parametrize("content", [b"no journal", b"no journal\n", b"[1]\n", b"[" * 100_000])
@pytest.mark.parametrize("name", ["discover", "scale"])
def test_a_journal_that_is_none_is_refused_and_kept(scalenas: Run, tmp_path: Path, name: str, content: bytes) -> None:
    journal = tmp_path / f"{name}.journal"
    journal.write_bytes(content)
    arch = ("--arch", "efficientnet_b0") if name == "scale" else ()
    options = [*SMALL, *OWN, "--dry-run", *arch]
    if name == "scale":
        del options[options.index("--trials") : options.index("--trials") + 2]
    expect_mistake(scalenas(name, "digits", "--run", tmp_path, *options), journal.name, "delete it to begin anew")
    assert journal.read_bytes() == content


def test_a_journal_that_cannot_be_written(scalenas: Run, tmp_path: Path) -> None:
    (tmp_path / "discover.journal.lock").mkdir()
    expect_mistake(scalenas("discover", "digits", "--run", tmp_path, *SMALL, *OWN), "discover.journal: cannot be")


def test_commands_that_need_a_run(scalenas: Run, tmp_path: Path) -> None:
    expect_mistake(scalenas("status", tmp_path), "run.json")
    expect_mistake(scalenas("frontier", tmp_path, "-o", tmp_path / "f.png"), "frontier.csv")
    expect_mistake(scalenas("discover", "digits"), "--run")


def test_an_architecture_of_ones_own_counts_as_itself(scalenas: Run, tmp_path: Path) -> None:
    arch = reference_arch("mobilenet_v2")
    (tmp_path / "mine.json").write_text(arch.to_json())
    _, out, _ = scalenas("inspect", tmp_path / "mine.json", "--json")
    assert json.loads(out)["id"] == arch.id
    assert ArchSpec.from_json(arch.to_json()) == arch


EMPTY = (
    ("discover", "digits", "--run", ""),
    ("discover", "", "--run", "r"),
    ("discover", "digits", "--run", "r", "--cache", ""),
    ("scale", "digits", "--run", "r", "--arch", ""),
    ("train", "", "digits", "--run", "r"),
    ("frontier", "", "-o", "f.csv"),
    ("frontier", "r", "-o", ""),
    ("frontier", "r", "-o", "f.csv", "--points", ""),
    ("status", ""),
    ("redraw", ""),
    ("report", "r", "-o", ""),
    ("dashboard", "r", "--study", ""),
    ("inspect", ""),
    ("export", "", "-o", "n.json"),
    ("export", "resnet20", "-o", "n.json", "--weights", ""),
)


@pytest.mark.parametrize("args", EMPTY, ids=" ".join)
def test_an_empty_word_is_no_path(
    scalenas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text("{}")  # the working directory itself would do
    expect_mistake(scalenas(*args), "it is empty; is a variable not set?")
    assert [path.name for path in tmp_path.rglob("*")] == ["run.json"]


@pytest.mark.parametrize("setting", ["cache", "sampler", "arch"])
def test_a_preset_with_an_empty_text(scalenas: Run, tmp_path: Path, setting: str) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({setting: [""] if setting == "arch" else ""}))
    expect_mistake(scalenas("run", "digits", "--run", tmp_path / "r", "--preset", file), "is empty")


USERS = """
from pathlib import Path
from nas.evaluation import Failure, Outcome

class Fails:
    def evaluate(self, request, device, report):
        return Outcome(failure=Failure("diverged", "as asked"))

def fails(dataset):
    return Fails()

class FirstAlone(Fails):
    def evaluate(self, request, device, report):
        first = Path("first")
        if not first.exists():
            first.write_text(request.key)
        return Outcome(0.5) if first.read_text() == request.key else super().evaluate(request, device, report)

def first_alone(dataset):
    return FirstAlone()

def leaves(*_, **__):
    raise SystemExit(0)
"""
QUICK = ("--executor", "inline", "--target-macs", "100k", "--resolution", "4", "--train-images", "32")
GRID = ("--arch", "mobilenet_v2", "--lengths", "1", "--budget", "1")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with code of the user's."""
    (tmp_path / "users.py").write_text(USERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users", raising=False)
    return tmp_path


@pytest.mark.parametrize("budget", ["1", "0.0001h"])
@pytest.mark.usefixtures("here")
def test_a_grid_of_which_nothing_can_be_trained(scalenas: Run, budget: str) -> None:
    options = ("--run", "r", *QUICK, *GRID, "--budget", budget, "--evaluator", "users:fails", "--plot-phi", "0")
    status, _, err = scalenas("scale", "digits", *options)
    assert status == 1
    assert err.splitlines()[-1].startswith("scalenas: no")
    assert "r/scale.journal tells why" in err.splitlines()[-1]


def test_a_scaling_plot_of_which_nothing_can_be_trained(scalenas: Run, here: Path) -> None:
    options = ("--run", "r", *QUICK, *GRID, "--evaluator", "users:first_alone", "--plot-phi", "0.1")
    status, _, err = scalenas("scale", "digits", *options)
    assert (status, "10 of 10 trials failed" in err) == (1, True)
    status, _, err = scalenas("scale", "digits", *options)  # and so do the few that are left
    assert status == 0, err
    assert "no network of the scaling plot could be trained" in err
    assert not (here / "r" / "scaling.csv").exists()
    assert scalenas("redraw", "r")[0] == 0


@pytest.mark.parametrize("option", ["--evaluator", "--space"])
@pytest.mark.usefixtures("here")
def test_code_of_the_users_does_not_end_the_command(scalenas: Run, option: str) -> None:
    answer = scalenas("discover", "digits", "--run", "r", *QUICK, option, "users:leaves")
    expect_mistake(answer, f"{option} users:leaves: SystemExit")


@pytest.mark.parametrize(
    "command",
    [
        ("frontier", "-o", "f.csv", "run", "loop"),
        ("redraw", "loop"),
        ("status", "loop"),
        ("report", "loop"),
        ("export", "loop", "-o", "n.json"),
        ("discover", "loop", "--run", "r"),
        ("discover", "digits", "--run", "loop"),
    ],
)
def test_a_link_that_leads_to_itself(scalenas: Run, here: Path, command: tuple[str, ...]) -> None:
    (here / "loop").symlink_to("loop")
    made_up_run(here / "run", 3)
    expect_mistake(scalenas(*command), "loop")


def test_the_largest_seed_grows_too(scalenas: Run, here: Path) -> None:
    del here
    options = ("--run", "r", *QUICK, *GRID, "--evaluator", "tests.helpers.evaluators:formula_for", "--plot-phi", "0")
    status, _, err = scalenas("scale", "digits", *options, "--budget", "30", "--seed", 2**31 - 1)
    assert status == 0, err
    seeds = pd.read_csv("r/grid.csv").seed
    assert (seeds.min(), seeds.max() > 2**31) == (2**31 - 1, True)


def test_a_folder_with_more_trials_than_asked_for(scalenas: Run, here: Path) -> None:
    options = ("--run", "r", *QUICK, "--epochs", "1", "--confirm", "0", "--evaluator",
               "tests.helpers.evaluators:formula_for")  # fmt: skip
    assert scalenas("discover", "digits", *options, "--trials", "3")[0] == 0
    journal = here / "r" / "discover.journal"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-1]))  # as a kill before the end of the last trial
    status, _, err = scalenas("discover", "digits", *options, "--trials", "1")
    assert status == 0, err
    assert "[search] 3/3, 0:00 left" in err


@pytest.mark.parametrize("command", [("report", "run", "-o"), ("frontier", "run", "-o"), ("export", "run", "-o")])
def test_a_pipe_is_not_replaced_by_what_is_written(scalenas: Run, here: Path, command: tuple[str, ...]) -> None:
    made_up_run(here / "run", 3)
    pipe = here / ("pipe.html" if command[0] != "export" else "pipe.json")
    os.mkfifo(pipe)
    expect_mistake(scalenas(*command, pipe), "pipe", "no regular file")
    assert pipe.is_fifo()
