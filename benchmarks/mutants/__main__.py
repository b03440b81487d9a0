"""The share of mutants that the tests notice, in the modules where a wrong number would go unseen.

A mutant is a module with one place changed: another operator, comparison or number, a condition turned round, a call
left out. The changes are Cosmic Ray's; it would start a process for each, which here is a fork of one that has loaded
torch. The sample of a module is drawn with a seed. Results are kept in a CSV file by the changed line, so that a run
that was stopped goes on; --again asks those that survived without a reason once more, after tests were added.

The table says of each module how many there are, were tried and were killed (a test failed, or took too long), then
names the survivors, each with the reason from reasons.csv why it may stay.

    python -m benchmarks.mutants --to runs/mutants.csv --sample 60 [--seed 0] [--again] [MODULE ...]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import machine
from benchmarks.mutants.changes import Mutant, changes_of, mutant, sampled
from benchmarks.mutants.copy import ROOT, Copy
from benchmarks.rows import append_row, read_rows

_HEADER = ("module", "before", "after", "line", "killed", "seconds")
_REASONS = Path(__file__).with_name("reasons.csv")
_SEARCH = "tests/nas/test_search.py"
_STORE = "tests/nas/study/test_store.py"
_STUDY = (_STORE, "--deselect", f"{_STORE}::test_requests_and_outcomes_come_back_as_they_were")
_SAMPLERS = "tests/nas/samplers/test_samplers.py"
_MODEL = ("tests/nas/samplers/test_model.py",)
_POSTERIOR = ("tests/scaling_search/test_posterior.py", "tests/scaling_search/test_analysis.py")
TESTS = {
    "nas/score.py": ("tests/nas/test_score.py",),
    "nas/search.py": (_SEARCH, "-k", "not two_workers and not identical"),
    "nas/study/store.py": _STUDY,
    "nas/study/journal.py": ("tests/nas/study/test_journal.py", *_STUDY),
    "nas/study/passwords.py": ("tests/nas/study/test_passwords.py",),
    "search_spaces/cost.py": ("tests/search_spaces/test_cost.py", "tests/search_spaces/test_reference_published.py"),
    "scaling_search/surface/posterior.py": _POSTERIOR,
    "nas/samplers/grid.py": _MODEL,
    "nas/samplers/model_based.py": (*_MODEL, f"{_SAMPLERS}::test_pareto_search_covers_more_than_random_search"),
    "nas/samplers/model/acquisition.py": _MODEL,
    "nas/samplers/model/covariance.py": _MODEL,
    "nas/samplers/model/gp.py": _MODEL,
    "nas/samplers/model/objective.py": _MODEL,
    "nas/samplers/model/surrogate.py": _MODEL,
}
"""The tests that are asked about a module."""
Key = tuple[str, str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(TESTS))
    parser.add_argument("--to", type=Path, required=True, help="CSV file of the results")
    parser.add_argument("--sample", type=int, default=60, help="mutants of a module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="ask those that survived without a reason once more")
    options = parser.parse_args()
    modules = options.modules or list(TESTS)
    for module in set(modules) - set(TESTS):
        parser.error(f"{module} is none of {', '.join(TESTS)}")
    os.environ["OMP_NUM_THREADS"] = "1"
    texts = {module: (ROOT / module).read_text() for module in modules}
    every = {module: changes_of(text) for module, text in texts.items()}
    drawn = {
        module: [
            found
            for change in sampled(changes, options.sample, options.seed)
            if (found := mutant(texts[module], change)) is not None
        ]
        for module, changes in every.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        for module in modules:
            _try(copy, module, drawn[module], options.to, options.again)
    print(f"command: python -m benchmarks.mutants {' '.join(sys.argv[1:])}\nmachine: {machine()}\n")
    _report({module: len(changes) for module, changes in every.items()}, drawn, _killed(options.to))


def _try(copy: Copy, module: str, mutants: Sequence[Mutant], to: Path, again: bool) -> None:
    known = _killed(to)
    left = [
        each
        for each in mutants
        if (killed := known.get(_key(module, each))) is None or (again and not killed and _reason(module, each) is None)
    ]
    if not left:
        return
    begun = time.monotonic()
    if not copy.passes(module, (ROOT / module).read_text(), TESTS[module], 600):
        raise SystemExit(f"{module}: its tests fail without any change")
    bound = 10 + 4 * (time.monotonic() - begun)
    for each in left:
        begun = time.monotonic()
        killed = not copy.passes(module, each.text, TESTS[module], bound)
        took = f"{time.monotonic() - begun:.1f}"
        append_row(to, _HEADER, (*_key(module, each), each.line, int(killed), took))


def _killed(path: Path) -> dict[Key, bool]:
    """The latest of the results for each mutant."""
    return {(row["module"], row["before"], row["after"]): row["killed"] == "1" for row in read_rows(path)}


def _key(module: str, of: Mutant) -> Key:
    return module, of.before, of.after


def _report(every: dict[str, int], drawn: dict[str, list[Mutant]], known: dict[Key, bool]) -> None:
    print(f"{'module':38}{'mutants':>8}{'tried':>8}{'killed':>8}{'rate':>8}")
    alive = {module: [each for each in mutants if not known[_key(module, each)]] for module, mutants in drawn.items()}
    for module, mutants in drawn.items():
        _line(module, every[module], len(mutants), len(alive[module]))
    _line("all", sum(every.values()), sum(map(len, drawn.values())), sum(map(len, alive.values())))
    print("\nsurvivors")
    for module, mutants in alive.items():
        for each in sorted(mutants):
            print(
                f"{module}:{each.line}: {_reason(module, each) or 'NO REASON YET'}\n  - {each.before}\n  + {each.after}"
            )


def _line(module: str, every: int, tried: int, alive: int) -> None:
    print(f"{module:38}{every:8}{tried:8}{tried - alive:8}{1 - alive / max(tried, 1):8.1%}")


def _reason(module: str, of: Mutant) -> str | None:
    """Why it may survive, if there is a reason: the first row of reasons.csv of this module, or of all (*), whose text
    is in the changed line and was not there before."""
    for row in read_rows(_REASONS):
        if row["module"] in ("*", module) and row["after"] in of.after and row["after"] not in of.before:
            return row["reason"]
    return None


if __name__ == "__main__":
    main()
