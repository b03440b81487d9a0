"""The command: `scalenas`, also `python -m scalenas`."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from experiments.errors import RunFailedError, UserError, from_user, needing_packages, told
from experiments.options.asked import Asked, ask, refuse_idle
from experiments.options.command import TEXT, Sections, flags
from experiments.options.declaration import MOST_CLASSES, MOST_EPOCHS, MOST_PIXELS
from experiments.options.flags import shown_command, with_flags
from experiments.terminal import SafeConsole, drop_output, echo, flush_output, prepare_streams
from nas.study.passwords import hide_password

# Commands import what they need when they run: torch takes seconds to load, and `--help` should not wait for it.

EXIT_FAILED, EXIT_USER, EXIT_INTERRUPTED = 1, 2, 130
RESOLUTION, CLASSES = click.IntRange(1, MOST_PIXELS), click.IntRange(1, MOST_CLASSES)
_SPLIT = "Images to look at. [test, else val, of what it was trained on; all of other data]"
_LONGEST = 300  # characters of a word in a message: paths may be long, numbers endless


def _networks(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001
    """What a shell offers for ARCH: names of known networks, and files."""
    from search_spaces import REFERENCE_NAMES  # noqa: PLC0415

    names = [name for name in REFERENCE_NAMES if name.startswith(incomplete)]
    return [CompletionItem(incomplete, type="file"), *map(CompletionItem, names)]  # bash begins anew at files


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="scalenas")
def cli() -> None:
    """Find a small network for your images, scale it, and plot accuracy against cost.

    DATA is a folder (train/<class>/*.jpg with optional val/ and test/, or <class>/*.jpg) or the
    built-in `digits`. ARCH is a name such as efficientnet_b0, an architecture's JSON file, or a run folder (its
    baseline is used).
    """


@cli.command(cls=Sections, params=flags("run"))
@click.argument("data", type=TEXT)
def run(data: str, **given: Any) -> None:
    """Run all three steps: baseline, scaling coefficients, frontier.

    DATA is a folder of class folders, or the word digits (8x8 images).
    """
    from experiments.pipeline import forecast_all, run_all  # noqa: PLC0415

    with _opened(asked := ask("run", given, data)) as context:
        whole = forecast_all if asked.common.dry_run else run_all
        _answer(whole(context, {*asked.given, *asked.in_preset}), asked.common.as_json)


@cli.command(cls=Sections, params=flags("discover"))
@click.argument("data", type=TEXT, required=False)
def discover(data: str | None, **given: Any) -> None:
    """Search for a baseline network.

    On DATA, or with --benchmark among the trained networks that a published table lists."""
    from experiments.steps.discover import forecast_discover, run_discover  # noqa: PLC0415

    with _opened(asked := ask("discover", given, data)) as context:
        _answer((forecast_discover if asked.common.dry_run else run_discover)(context), asked.common.as_json)


@cli.command(cls=Sections, params=flags("scale"))
@click.argument("data", type=TEXT)
def scale(data: str, **given: Any) -> None:
    """Search for a network's scaling coefficients.

    Of --arch, else of the run's baseline; writes its family."""
    from experiments.steps.forecast import run_forecast  # noqa: PLC0415
    from experiments.steps.scale import forecast_scale, run_scale  # noqa: PLC0415

    with _opened(asked := ask("scale", given, data)) as context:
        answer = (forecast_scale if asked.common.dry_run else run_scale)(context)
        if not asked.common.dry_run:
            run_forecast(context)
        _answer(answer, asked.common.as_json)


@cli.command(cls=Sections, params=flags("compare"))
@click.argument("data", type=TEXT)
def compare(data: str, **given: Any) -> None:
    """Train other networks for the frontier.

    Known networks and the run's baseline, or each --arch; all get the same epochs and seeds."""
    from experiments.steps.compare import compare_entries, forecast_compare, run_compare  # noqa: PLC0415
    from experiments.tables.frontier import points_table  # noqa: PLC0415

    with _opened(asked := ask("compare", given, data)) as context:
        entries = compare_entries(context)
        if asked.common.dry_run:
            _answer(forecast_compare(context, entries), asked.common.as_json)
            return
        _answer(points_table(run_compare(context, entries)).to_dict("records"), asked.common.as_json)


@cli.command(cls=Sections, params=flags("fidelity"))
@click.argument("data", type=TEXT)
def fidelity(data: str, **given: Any) -> None:
    """Test whether short trainings rank like long ones."""
    from experiments.steps.fidelity import forecast_fidelity, run_fidelity  # noqa: PLC0415

    with _opened(asked := ask("fidelity", given, data)) as context:
        step = forecast_fidelity if asked.common.dry_run else run_fidelity
        _answer(step(context, asked.plan), asked.common.as_json)


@cli.command(cls=Sections, params=flags("train"))
@click.argument("arch", type=TEXT, shell_complete=_networks)
@click.argument("data", type=TEXT)
def train(arch: str, data: str, **given: Any) -> None:
    """Train one network in full, or fine-tune it.

    The same command resumes after a kill."""
    from experiments.steps.train import run_train  # noqa: PLC0415

    with _opened(asked := ask("train", given, data, arch)) as context:
        _answer(run_train(context, arch, asked.plan), asked.common.as_json)


@cli.command()
@click.argument("runs", type=TEXT, nargs=-1, required=True, metavar="RUN...")
@click.option(
    "-o", "--output", type=TEXT, required=True, metavar="FILE", help=".png, .svg, .pdf, .html (interactive) or .csv"
)
@click.option(
    "--published",
    type=TEXT,
    multiple=True,
    metavar="FAMILY",
    help="Overlay published ImageNet figures, such as EfficientNet.",
)
@click.option(
    "--points", type=TEXT, multiple=True, metavar="FILE", help="Overlay points of your own: a CSV (see docs/report.md)."
)
@click.option(
    "-x",
    "--x",
    type=click.Choice(["macs", "params", "activations", "latency", "ram", "flash"]),
    default="macs",
    show_default=True,
    help="What accuracy is drawn against.",
)
@click.option(
    "--latency-command",
    type=TEXT,
    metavar="COMMAND",
    help="Prints the milliseconds of {onnx}, for -x latency. [this machine's CPU]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the points as JSON on standard output.")
def frontier(  # noqa: PLR0917  click passes all by name
    runs: tuple[str, ...],
    output: str,
    published: tuple[str, ...],
    points: tuple[str, ...],
    x: str,
    latency_command: str | None,
    as_json: bool,
) -> None:
    """Plot or export accuracy against cost.

    -x latency measures the networks of the runs on this machine's CPU: torch, one image, one thread; or by a command.
    -x ram and flash are counted in int8, one image (docs/devices.md).
    """
    from experiments.run.latency_book import measured_in  # noqa: PLC0415
    from experiments.tables.frontier import points_table  # noqa: PLC0415
    from experiments.views.frontier import draw_frontier  # noqa: PLC0415

    if x not in ("macs", "latency") and output.endswith(".csv") and not published:
        raise UserError(f"-x {x} has no effect on a .csv, which has all figures")
    if latency_command is not None and x != "latency":
        raise UserError("--latency-command has no effect without -x latency")
    measure = partial(measured_in, command=latency_command)
    drawn = draw_frontier(runs, Path(output), published, own=points, x=x, measure=measure)
    _answer(points_table(drawn).to_dict("records"), as_json)


@cli.command()
@click.argument("arch", type=TEXT, shell_complete=_networks)
@click.option("--resolution", type=RESOLUTION, metavar="R", help="Input size. [the architecture's own]")
@click.option("--num-classes", type=CLASSES, metavar="N", help="Classes to tell apart. [1000, of a detector 90]")
@click.option("--verify", is_flag=True, help="Build it, and count its MACs and parameters by fvcore and torch, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(arch: str, resolution: int | None, num_classes: int | None, verify: bool, as_json: bool) -> None:
    """Print MACs, parameters and memory of a network.

    Stage by stage; of the detectors efficientdet_d0 to d7 MACs and parameters, part by part.

    Names: efficientnet_b0 to b7, efficientnet_lite0 to lite4, efficientnet_v2_s, mnasnet_a1, mnasnet_b1, mobilenet_v1,
    mobilenet_v1_025, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small, mobilenet_v4_conv_small, shufflenet_v1,
    squeezenet1_0, squeezenet1_1, xception, resnet18, resnet34, resnet50, resnet101, resnet152, resnet200,
    wide_resnet50_2; for small images resnet20, resnet32, resnet44, resnet56, plain_resnet, plain_mbconv,
    pooled_mbconv.
    """
    from experiments.views.inspection import inspect_named, inspect_table, memory_table, verified_line  # noqa: PLC0415

    with from_user():
        facts = inspect_named(arch, resolution, num_classes, verify=verify)
    if as_json:
        _answer(facts, as_json)
    else:
        console = SafeConsole()
        console.print(inspect_table(facts))
        if "peak_in" in facts:
            console.print(memory_table(facts))
        if verify:
            echo(verified_line(facts))


@cli.command()
@click.argument("run_dir", type=TEXT, metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--watch", is_flag=True, help="Show it again whenever something changes, until Ctrl-C.")
def status(run_dir: str, as_json: bool, watch: bool) -> None:
    """Show the progress of a run."""
    from experiments.run.folder import existing_run_folder  # noqa: PLC0415
    from experiments.views.status import run_status, status_table, watch_status  # noqa: PLC0415

    folder = existing_run_folder(run_dir)
    if watch and as_json:
        raise UserError("--json has no effect with --watch, which shows the table")
    if watch:
        watch_status(folder, SafeConsole())
    elif as_json:
        _answer(run_status(folder), as_json)
    else:
        SafeConsole().print(status_table(run_status(folder)))


@cli.command()
@click.argument("run_dir", type=TEXT, metavar="RUN")
@click.option(
    "--study",
    type=TEXT,
    default="discover",
    show_default=True,
    metavar="NAME",
    help="discover, confirm, scale, plans, compare, fidelity.",
)
@click.option(
    "--port", type=click.IntRange(1, 65535), metavar="N", default=8080, show_default=True, help="Of this machine."
)
def dashboard(run_dir: str, study: str, port: int) -> None:
    """Show a run's trials in optuna-dashboard.

    An optional extra; on this machine alone."""
    from experiments.run.folder import existing_run_folder  # noqa: PLC0415
    from experiments.views.dashboard import serve  # noqa: PLC0415

    serve(existing_run_folder(run_dir), study, port)


@cli.command()
@click.argument("run_dir", type=TEXT, metavar="RUN")
@click.option(
    "--accuracy", type=click.FloatRange(0, 100, min_open=True), required=True, metavar="PERCENT", help="What to reach."
)
@click.option("--epochs", type=click.IntRange(1, MOST_EPOCHS), metavar="N", help="Of the training. [the frontier's]")
@click.option("-o", "--output", type=TEXT, metavar="FILE", help="Write the network of 90 % probability, for train.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def size(run_dir: str, accuracy: float, epochs: int | None, output: str | None, as_json: bool) -> None:
    """Say how large a network must be to reach an accuracy.

    A network of the run's family, by the run's trainings so far."""
    from experiments.records.values import plain  # noqa: PLC0415
    from experiments.run.folder import existing_run_folder, write_json  # noqa: PLC0415
    from experiments.views.size import size_for  # noqa: PLC0415

    if output is not None and not Path(output).parent.is_dir():
        raise UserError(f"{output}: there is no folder {Path(output).parent}; make it first")
    answer = size_for(existing_run_folder(run_dir), accuracy / 100, epochs)
    if as_json:
        _answer(answer.as_json(), as_json)
    else:
        echo("\n".join(answer.lines()))
    if output is not None:
        with from_user():
            write_json(Path(output), plain(answer.surest))
        echo(f"the latter network is in {output}", err=as_json)


@cli.command()
@click.argument("run_dir", type=TEXT, metavar="RUN")
@click.option("-o", "--output", type=TEXT, metavar="FILE", help="Where to write it. [RUN/report.html]")
def report(run_dir: str, output: str | None) -> None:
    """Write a run's report, one HTML file.

    It opens offline; runs write it themselves at every step."""
    from experiments.report import write_report  # noqa: PLC0415
    from experiments.run.folder import existing_run_folder  # noqa: PLC0415

    with from_user():
        written = write_report(existing_run_folder(run_dir), None if output is None else Path(output))
    echo(str(written))


@cli.command()
@click.argument("runs", type=TEXT, nargs=-1, required=True, metavar="RUN...")
def redraw(runs: tuple[str, ...]) -> None:
    """Redraw pictures and reports from the tables.

    DATA is not needed."""
    from experiments.run.folder import existing_run_folder  # noqa: PLC0415
    from experiments.views.redraw import redraw as draw_again  # noqa: PLC0415

    for run_dir in runs:
        for file in draw_again(existing_run_folder(run_dir)):
            echo(str(file))


@cli.command()
@click.argument("arch", type=TEXT, shell_complete=_networks)
@click.option(
    "-o",
    "--output",
    type=TEXT,
    required=True,
    multiple=True,
    metavar="FILE",
    help=".onnx, .int8.onnx, .pt2, .py, .tflite, .pte, .json or .txt",
)
@click.option(
    "--weights", type=TEXT, metavar="FILE", help="Weights, .safetensors or .pth. [the run's own, else untrained]"
)
@click.option("--num-classes", type=CLASSES, metavar="N", help="Classes. [those of the weights or the run, else 1000]")
@click.option("--resolution", type=RESOLUTION, metavar="R", help="Input size. [the architecture's own]")
@click.option(
    "--with-preprocessing", "prepares", is_flag=True, help="Take uint8 images: resizing and normalisation are inside."
)
@click.option("--data", type=TEXT, metavar="DATA", help="Images that .int8.onnx is calibrated and measured on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def export(  # noqa: PLR0917  click passes all by name
    arch: str,
    output: tuple[str, ...],
    weights: str | None,
    num_classes: int | None,
    resolution: int | None,
    prepares: bool,
    data: str | None,
    as_json: bool,
) -> None:
    """Write a network for other programs.

    With its weights; each file is checked by reading it back.

    .onnx (ONNX), .int8.onnx (a trained network in int8, with --data), .pt2 (torch.export), .py (torch alone, weights
    beside it in .weights.safetensors), .tflite (LiteRT), .pte (ExecuTorch), .json (the architecture alone), .txt
    (timm's block strings). ARCH may also be the run folder of a full training, or a trained network's .safetensors
    file. A .model.json beside a network says what images it takes and what its outputs are; .onnx, .pt2 and .py say it
    themselves, too.
    """
    from experiments.export import RUNNABLE, check_output  # noqa: PLC0415
    from experiments.export import export as write  # noqa: PLC0415
    from experiments.export.source import load_exported  # noqa: PLC0415

    for file in map(Path, output):
        check_output(file)
    files = [Path(file) for file in output if not file.endswith(".int8.onnx")]
    if prepares and (others := [file for file in output if file.endswith(".int8.onnx")]):
        raise UserError(f"{others[0]}: int8 takes no --with-preprocessing: give the file images that are normalised")
    if prepares and not any(file.suffix in RUNNABLE for file in files):
        raise UserError(f"--with-preprocessing has no effect without a file of {', '.join(RUNNABLE)}")
    quantised = _quantise(arch, [Path(file) for file in output if file.endswith(".int8.onnx")], data,
                          weights or num_classes or resolution)  # fmt: skip
    exported = load_exported(arch, weights, num_classes, resolution) if files else None
    if weights is None:
        _say_advice(arch)
    if prepares and exported is not None:
        exported = exported.prepared()
    with from_user():
        facts = [] if exported is None else [write(exported, file) for file in files]
    for fact in () if as_json else facts:
        checked = "not run" if fact["difference"] is None else f"outputs within {fact['difference']:.1e} of torch's"
        echo(
            f"{' and '.join(fact['files'])}: {fact['macs']:,} MACs, {fact['params']:,} params at "
            f"{fact['resolution']} pixels, {fact['num_classes']} classes; read back, {checked}; "
            f"weights: {fact['weights']}"
        )
    _answer(facts + quantised, as_json)


def _say_advice(text: str) -> None:
    """Whoever names a run folder gets its baseline: where its report advises another network, that is said."""
    from experiments.run.models import other_advice  # noqa: PLC0415
    from experiments.run.progress import Narrator  # noqa: PLC0415

    line = other_advice(text)
    if line is not None:
        Narrator().say(line)


def _quantise(arch: str, files: list[Path], data: str | None, changed: object) -> list[dict[str, Any]]:
    """Write the files in int8 of `export`, and say what came of each. changed: an option that cannot be beside them."""
    if not files:
        if data is not None:
            raise UserError("--data has no effect without a file .int8.onnx")
        return []
    if data is None:
        raise UserError(f"{files[0]}: int8 takes images to be calibrated on: give --data DATA")
    if changed:
        raise UserError(f"{files[0]}: int8 takes a trained network as it is: leave out --weights and the like")
    from experiments.run.models import load_trained  # noqa: PLC0415
    from experiments.run.naming import is_reference  # noqa: PLC0415
    from experiments.run.progress import Narrator  # noqa: PLC0415
    from experiments.views.quantisation import int8_line, write_int8  # noqa: PLC0415
    from nas.training.int8 import check_packages  # noqa: PLC0415

    if is_reference(arch):
        raise UserError(f"{arch}: int8 takes a trained network: a file of models/ or a run folder")
    with needing_packages():
        check_packages()
    narrator, trained = Narrator(), load_trained(arch)
    facts = []
    for file in files:
        with narrator.counting("decode") as progress:
            facts.append(write_int8(trained, data, file, progress=progress, tell=narrator.say))
        narrator.say(int8_line(facts[-1]))
    return facts


@cli.command()
@click.argument("model", type=TEXT)
@click.argument("data", type=TEXT)
@click.option("-o", "--output", type=TEXT, metavar="DIR", help="Write tables and the confusion matrix there, too.")
@click.option("--split", type=click.Choice(["train", "val", "test", "all"]), help=_SPLIT)
@click.option("--cache", type=TEXT, metavar="DIR", help="Where decoded images are kept. [nowhere]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(  # noqa: PLR0917  click passes all by name
    model: str, data: str, output: str | None, split: str | None, cache: str | None, as_json: bool
) -> None:
    """Measure a trained network on DATA.

    Accuracy, each class, what is taken for what, the most confident mistakes.

    MODEL is a run folder with a trained network (that of `train`, or the baseline of `run`), or the network's
    .safetensors file, wherever that lies.
    """
    from experiments.run.models import load_trained  # noqa: PLC0415
    from experiments.run.progress import Narrator  # noqa: PLC0415
    from experiments.views.evaluation import evaluation_facts, evaluation_table, write_evaluation  # noqa: PLC0415
    from experiments.views.trained import evaluate as measure  # noqa: PLC0415

    if output is not None and Path(output).exists() and not Path(output).is_dir():
        raise UserError(f"-o {output}: is a file, not a folder")
    narrator, trained = Narrator(), load_trained(model)
    _say_advice(model)
    with narrator.counting("decode") as progress:
        found = measure(trained, data, split=split, cache=cache, progress=progress, tell=narrator.say)
    if output is not None:
        for file in write_evaluation(found, Path(output)):
            narrator.say(str(file))
    if as_json:
        _answer(evaluation_facts(found), as_json)
    else:
        SafeConsole().print(evaluation_table(found), soft_wrap=True)


@cli.command()
@click.argument("model", type=TEXT)
@click.argument("images", type=TEXT, nargs=-1, required=True, metavar="IMAGE...")
@click.option("--top", type=CLASSES, default=3, show_default=True, metavar="N", help="Classes to name.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: image, class, probability.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def predict(model: str, images: tuple[str, ...], top: int, as_csv: bool, as_json: bool) -> None:
    """Classify images with a trained network.

    MODEL is a run folder with a trained network (that of `train`, or the baseline of `run`), or the network's
    .safetensors file, wherever that lies. IMAGE is a file, or a folder of files. Images are read, resized and
    normalised as those that it was trained on.
    """
    from experiments.run.models import load_trained  # noqa: PLC0415
    from experiments.views.prediction import image_files, predictions, predictions_csv  # noqa: PLC0415

    if as_csv and as_json:
        raise UserError("--csv and --json exclude each other")
    trained = load_trained(model)
    _say_advice(model)
    found = predictions(trained, image_files(images), top)
    if as_csv:
        echo(predictions_csv(found).rstrip())
    elif as_json:
        _answer([each.to_json() for each in found], as_json)
    else:
        for each in found:
            echo(str(each))


def main() -> None:
    """Entry point: every outcome has its exit status, and what the user did wrong is told in one line."""
    prepare_streams()
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.main(prog_name="scalenas", standalone_mode=False)
        flush_output()
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(EXIT_USER)
    except click.ClickException as error:
        _fail(error.format_message(), EXIT_USER)
    except UserError as error:
        _fail(str(error), EXIT_USER)
    except RunFailedError as error:
        _fail(str(error), EXIT_FAILED)
    except (KeyboardInterrupt, click.Abort):
        again = shown_command(sys.argv[1:])
        _fail(f"interrupted; what is finished is saved. Go on with: {again}", EXIT_INTERRUPTED)
    except OSError as error:
        _fail(told(error), EXIT_USER)


def _opened(asked: Asked) -> AbstractContextManager[Any]:
    """Open the run of a command, unless an option given has no effect."""
    from experiments.report import LiveReport  # noqa: PLC0415
    from experiments.run.context import open_run  # noqa: PLC0415
    from experiments.run.facts import FACTS  # noqa: PLC0415
    from experiments.run.folder import RunFolder  # noqa: PLC0415
    from experiments.run.progress import Narrator  # noqa: PLC0415

    refuse_idle(asked, FACTS)
    narrator = Narrator()
    page = LiveReport(RunFolder(Path(asked.common.run_dir)), narrator.say)
    return open_run(asked.data, asked.common.run_dir, asked.settings, narrator, [page])


def _answer(value: Any, as_json: bool) -> None:
    if as_json:
        echo(json.dumps(value, indent=2, default=lambda record: record.to_json()))


def _fail(message: str, status: int) -> None:
    words = (word if len(word) <= _LONGEST else f"{word[:_LONGEST]} ..." for word in message.split())
    with contextlib.suppress(UserError):  # nobody reads it; the status tells
        echo(f"scalenas: {hide_password(with_flags(' '.join(words)))}", err=True)
    drop_output()
    sys.exit(status)
