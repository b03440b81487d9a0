"""docs/options.md: every option of every command, written from what the command itself is made of.

python -m experiments.option_table docs/options.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from experiments.cli import cli
from experiments.options.command import PLANS, TITLES, CommonOptions
from experiments.options.declaration import Condition, Declared, Where, declared, say
from experiments.options.groups import TRAINING
from experiments.options.settings import declared_groups
from experiments.run.facts import FACTS

_HEAD = """\
# Options

Written by `python -m experiments.option_table docs/options.md` from the declarations in `experiments/options/`; change
those.

The commands that train (`run`, `discover`, `scale`, `compare`, `fidelity`, `train`) share options. An option that has
no effect beside the others given is refused. `--preset` takes a JSON file of options, with `_` for `-` and without the
dashes, such as `{"target_macs": "20M", "trials": 50}`: it may hold more than a command uses, and what is given beside
it comes first.
"""


def option_table() -> str:
    """The page."""
    groups = dict(declared_groups())
    groups["The run"] = {**declared(CommonOptions), **groups["The run"]}
    lines = [_HEAD]
    for title, group in groups.items():
        lines += [f"## {title}\n", *_declared_rows(group.values(), TRAINING), ""]
    for command, plan in PLANS.items():
        lines += [
            f"## {TITLES[command]}: `{command}` alone\n",
            *_declared_rows(declared(plan).values(), (command,)),
            "",
        ]
    for name, other in cli.commands.items():
        if name not in TRAINING:
            lines += [f"## `{name}`\n", *_click_rows(other), ""]
    return "\n".join(lines)


def _declared_rows(options: Iterable[Declared], of: Sequence[str]) -> Iterator[str]:
    """A table of declared options; of: the commands that may offer them."""
    yield from _table_head("option", "what it does", "default", "takes", "commands", "no effect")
    for option in options:
        offering = option.facts.get("commands", () if of is TRAINING else of)
        name = option.flag if offering else option.name
        default = option.meaning("").unset or ("required" if option.facts.get("required") else "")
        commands = "all" if offering == TRAINING else ", ".join(offering) or "presets alone"
        flag = f"`{name} {option.facts.get('metavar', '')}".strip() + "`"
        yield _row(flag, _what(option), default, _takes(option), commands, _idle(option))


def _what(option: Declared) -> str:
    """What an option does, and what it does for the commands to which it means something else."""
    told = {command: option.meaning(command) for command in option.facts.get("told", {})}
    common = option.meaning("")
    own = [
        f"`{command}`: {each.help}" + (f" [{each.unset}]" if each.unset not in (None, common.unset) else "")
        for command, each in told.items()
    ]
    return " ".join([common.help, *own])


def _takes(option: Declared) -> str:
    """What its values are, in words."""
    if option.kind is bool:
        return ""
    kind = {int: "whole number", float: "number", str: "text"}[option.kind]
    if option.is_tuple:
        kind = "any number of times" if option.kind is str else f"{kind}s, separated by commas"
    known, allowed, unit = option.facts.get("known"), option.facts.get("range"), option.facts.get("unit")
    words = [", ".join(known) if known else kind, *([f"({unit})"] if unit else [])]
    return " ".join(words) + (f", {allowed.words.removeprefix('a number ')}" if allowed else "")


def _idle(option: Declared) -> str:
    """Beside which others it has no effect."""
    return "; ".join(map(_words, option.facts.get("needs", ())))


def _words(condition: Condition) -> str:
    only = f" ({', '.join(condition.commands)})" if condition.commands else ""
    if isinstance(condition, Where):
        return re.sub(r"--[a-z-]+", r"`\g<0>`", FACTS[condition.fact].words) + only
    return re.sub(r"--.+", r"`\g<0>`", condition.words) + only


def _click_rows(command: click.Command) -> Iterator[str]:
    """A table of the options of a command that does not train."""
    params = [param for param in command.params if isinstance(param, click.Option)]
    if not params:
        yield "No options."
        return
    yield from _table_head("option", "what it does", "default")
    for param in params:
        metavar = "" if param.is_flag else param.make_metavar(click.Context(command))
        default = "required" if param.required else say(param.default) if param.show_default else ""
        yield _row(f"`{', '.join(param.opts)} {metavar}".strip() + "`", param.help or "", default)


def _table_head(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield "|---" * len(names) + "|"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(option_table())
