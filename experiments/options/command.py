"""The command's options, made from their declaration, and its help. What is not given is left to the preset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from experiments.options.declaration import Declared, Option, With, declared, written
from experiments.options.groups import TRAINING
from experiments.options.plans import FidelityPlan, TrainPlan
from experiments.options.settings import declared_groups

PLANS: Mapping[str, type] = {"train": TrainPlan, "fidelity": FidelityPlan}
"""What single commands are asked for beside the settings."""

FIRST: Mapping[str, tuple[str, ...]] = {
    "run": ("target_macs", "trials", "epochs", "budget"),
    "discover": ("target_macs", "trials", "epochs", "sampler"),
    "scale": ("arch", "lengths", "seeds", "budget"),
    "compare": ("arch", "target_macs", "final_epochs", "final_seeds"),
    "fidelity": ("fidelity", "candidates", "seeds", "final_epochs"),
    "train": ("recipe", "epochs", "keep", "weights"),
}
"""The options that matter first, which help shows first."""

TITLES: Mapping[str, str] = {"train": "This training", "fidelity": "This check"}
"""The headings of their options."""

_COLUMN = 24  # characters of help's first column


@dataclass(frozen=True)
class CommonOptions:
    """What every command that trains is told of the command itself; no part of the settings."""

    run_dir: str = field(
        default="",
        metadata=Option(
            help="Folder for all that the run writes.", commands=TRAINING, metavar="DIR", flag="--run", required=True
        ),
    )
    preset: str | None = field(
        default=None,
        metadata=Option(help="Options from a preset or file; typed ones win.", commands=TRAINING, metavar="NAME|FILE"),
    )
    as_json: bool = field(
        default=False, metadata=Option(help="Print the result as JSON.", commands=TRAINING, flag="--json")
    )
    dry_run: bool = field(
        default=False,
        metadata=Option(
            help="Print a cost forecast; train nothing.",
            commands=("run", "discover", "scale", "compare", "fidelity"),
        ),
    )


class Flag(click.Option):
    """An option of the command, made from its declaration."""

    def __init__(self, option: Declared, command: str, title: str) -> None:
        meaning, required = option.meaning(command), option.facts.get("required", False)
        only = [written(each.name, each.values) for each in option.facts.get("needs", ()) if isinstance(each, With)]
        text = meaning.help
        if only:
            text = f"{text.removesuffix('.')} (with {', '.join(only)})."
        if meaning.unset is not None and not required:
            text += f" [{meaning.unset}]"
        given: dict[str, Any] = {"is_flag": True, "default": None}
        if option.kind is not bool:
            given = {"type": _click_type(option), "multiple": option.is_tuple and option.kind is str}
        super().__init__(
            [option.flag, option.name],
            help=text,
            metavar=option.facts.get("metavar"),
            required=required,
            **given,
        )
        self.declared, self.command, self.title = option, command, title


class Sections(click.Command):
    """A command whose help shows its options under headings, those that matter first at the top."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        first = FIRST.get(self.name or "", ())
        sections: dict[str, list[tuple[str, str]]] = {"Main options": []} if first else {}
        params = sorted(self.get_params(ctx), key=lambda each: first.index(each.name) if each.name in first else -1)
        for param in params:
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                title = "Main options" if param.name in first else getattr(param, "title", "The run")
                sections.setdefault(title if first else "Options", []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl([(term.ljust(_COLUMN), text) for term, text in records], col_max=_COLUMN)


def flags(command: str) -> list[click.Parameter]:
    """All options that a command offers."""
    return [Flag(option, command, title) for title, group in offered(command).items() for option in group.values()]


def offered(command: str) -> Mapping[str, Mapping[str, Declared]]:
    """The options of a command by heading and name, in the order of its help."""
    plan = {TITLES[command]: declared(PLANS[command])} if command in PLANS else {}
    groups = {**plan, **declared_groups()}
    groups["The run"] = {**declared(CommonOptions), **groups["The run"]}
    taken = {name for group in plan.values() for name in group}
    found = {
        title: {
            name: option
            for name, option in group.items()
            if title in plan or (command in option.facts.get("commands", ()) and name not in taken)
        }
        for title, group in groups.items()
    }
    return {title: group for title, group in found.items() if group}


def _click_type(option: Declared) -> Any:
    """How its text is read."""
    kind = option.kind
    if kind is str:
        return TEXT
    return Numbers(kind, option.facts["form"]) if option.is_tuple else kind


class Text(click.ParamType[str]):
    """A text of one character at least: an empty path would mean the working directory."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value == "":
            self.fail("it is empty; is a variable not set?", param, ctx)
        return str(value)


TEXT = Text()


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers of one kind, separated by commas; what: what they are, for people."""

    name = "numbers"

    def __init__(self, kind: type[int] | type[float], what: str) -> None:
        self.kind, self.what = kind, what

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.kind(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not {self.what}", param, ctx)
