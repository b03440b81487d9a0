"""Does the short training of this run rank networks as a long one does: measured on the user's own data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from experiments.errors import RunFailedError, UserError
from experiments.options.plans import LONG_SEEDS, FidelityPlan, short_training
from experiments.pictures.run_folder import fidelity_pictures
from experiments.plans.networks import fitted_arch
from experiments.plans.opponents import pretrained_entries
from experiments.plans.outlook import outlook_list
from experiments.plans.search import plan_search
from experiments.records import FidelityRecord, JudgedStandIn, LongTraining
from experiments.run.context import RunContext
from experiments.tables.fidelity_table import LONG, SCRATCH, SHORT, FidelityRow, Ranking, fidelity_csv, ranking
from experiments.wording import metric_words
from nas.evaluation import Fidelity, Outcome, Request
from nas.figures import Figure, MultiplyAdds
from nas.files import replace_text
from nas.rank_fidelity import FEWEST, Agreement, Floats, Short, images_seen, say_fidelity
from search_spaces import ArchSpec, SearchSpace

NAME = "fidelity"
BAND = math.sqrt(2)
"""Candidates cost the target over this to the target times this: a band of a factor of 2."""

_POOL = 4096  # networks of the space among which candidates are looked for
_LONG = 8  # times the images of the longest short training, by default


def short_trainings(plan: FidelityPlan, proxy: Fidelity) -> tuple[Short, ...]:
    """All short trainings, the run's own first."""
    return tuple(dict.fromkeys([Short(proxy), *map(parse_short, plan.fidelity)]))


def long_fidelity(plan: FidelityPlan, proxy: Fidelity) -> Fidelity:
    """The long training. Raises UserError where a short one sees as many images."""
    longest = max(images_seen(short.fidelity) for short in short_trainings(plan, proxy))
    long = Fidelity(plan.final_epochs or math.ceil(_LONG * longest))
    if long.epochs <= longest:
        raise UserError(f"--final-epochs {long.epochs} must be more than the short trainings see: {longest:g}")
    return long


def parse_short(text: str) -> Short:
    """A short training as `short_training` reads it, which says what it raises."""
    epochs, share, from_scratch = short_training(text)
    return Short(Fidelity(epochs, share), from_scratch)


@dataclass(frozen=True)
class Candidate:
    """A network to rank, and the methods of its trainings (see Request; None: as the run's own): that of all, and that
    of those from scratch, where the others begin with weights."""

    name: str
    arch: ArchSpec
    method: str | None = None
    from_scratch: str | None = None


@dataclass(frozen=True)
class Check:
    """What is trained: the candidates, the long training, the seeds of the short ones and of it, and all that is asked,
    the short ones first: a request, the name of its candidate, and the training that it is for (None: the long one).
    One training may be asked for twice."""

    candidates: tuple[Candidate, ...]
    long: Fidelity
    short_seeds: tuple[int, ...]
    long_seeds: tuple[int, ...]
    asked: tuple[tuple[Request, str, Short | None], ...]

    @property
    def names(self) -> dict[Request, str]:
        """What is to be trained, and whose training it is."""
        return {request: name for request, name, _ in self.asked}


def plan_check(run: RunContext, plan: FidelityPlan) -> Check:
    """Choose candidates and fidelities. Raises UserError for what the user can mend."""
    search = plan_search(run)
    target = float(search.target_macs)
    named = [(name, fitted_arch(run, name, target, run.resolutions)) for name in run.settings.general.arch]
    macs, seed = MultiplyAdds(run.num_classes), run.settings.general.seed
    drawn = pick_candidates(search.space, plan.candidates, target, macs, seed)
    named += [(f"candidate {i}", arch) for i, arch in enumerate(drawn)]
    known = {arch.id: name for name, arch in reversed(named)}
    parent = run.problem.parent
    fresh = None if parent is None else parent.from_scratch.method
    candidates = [Candidate(name, arch, None, fresh) for name, arch in named if known[arch.id] == name]
    candidates += _pretrained(run, target)
    if len(drawn) < plan.candidates:
        run.narrator.say(f"note: the space gave {len(drawn)} networks of that cost, not {plan.candidates}")
    if len(candidates) < FEWEST:
        raise UserError(f"{len(candidates)} candidates say nothing about a ranking: at least {FEWEST} --candidates")
    short, long = short_trainings(plan, run.proxy), long_fidelity(plan, run.proxy)
    if any(each.from_scratch for each in short) and not any(each.from_scratch for each in candidates):
        raise UserError(
            "--fidelity ...:scratch has no effect: without --inherit or --pretrained all trainings are from scratch"
        )
    short_seeds = tuple(seed + i for i in range(plan.seeds))
    long_seeds = tuple(seed + LONG_SEEDS + i for i in range(plan.final_seeds))
    asked: list[tuple[Request, str, Short | None]] = []
    for each, number, of in itertools.product(short, short_seeds, candidates):
        method = of.from_scratch if each.from_scratch else of.method
        asked.append((run.request(of.arch, each.fidelity, number, method=method), of.name, each))
    for number, of in itertools.product(long_seeds, candidates):
        asked.append((run.request(of.arch, long, number, method=of.method), of.name, None))
    return Check(tuple(candidates), long, short_seeds, long_seeds, tuple(asked))


def _pretrained(run: RunContext, target: float) -> list[Candidate]:
    """The networks of --pretrained, which are fine-tuned, each at the largest resolution that costs no more than the
    target."""
    fresh = {each.evaluator.method: each.from_scratch.method for each in run.problem.pretrained}
    return [
        Candidate(entry.label, entry.arch, entry.method, fresh[entry.method or ""])
        for entry in pretrained_entries(run, [target])
    ]


def pick_candidates(space: SearchSpace, count: int, target: float, macs: Figure, seed: int) -> list[ArchSpec]:
    """Up to `count` networks of the space, drawn from `seed`, spread evenly in log MACs over the band around `target`.

    Each is the unused one, of a fixed number drawn, that is nearest to the next point of a van der Corput sequence over
    the band: so more candidates include the fewer. Where all networks of the space cost the target they come as drawn.
    """
    rows = space.sample(np.random.default_rng(seed), _POOL)
    if space.equal_macs is not None:
        return list(itertools.islice(_distinct(space, rows), count))
    places = np.log(macs.of_rows(space, rows) / target) / math.log(BAND)  # -1..1 within the band
    places[np.abs(places) > 1] = np.nan
    found: dict[str, ArchSpec] = {}
    points = iter(qmc.Halton(1, scramble=False).random(count)[:, 0] * 2 - 1)
    point = next(points, None)
    while point is not None and not np.isnan(places).all():
        nearest = int(np.nanargmin(np.abs(places - point)))
        arch = space.decode(space.params(rows[nearest]))
        places[nearest] = np.nan
        if arch.id not in found:  # encodings may be of one network
            found[arch.id] = arch
            point = next(points, None)
    return list(found.values())


def _distinct(space: SearchSpace, rows: NDArray[np.int64]) -> Iterator[ArchSpec]:
    """The networks of encodings that are ones, each once."""
    met = set()
    for row in rows:
        with suppress(ValueError):  # no network at this cost
            arch = space.decode(space.params(row))
            if arch.id not in met:
                met.add(arch.id)
                yield arch


def forecast_fidelity(run: RunContext, plan: FidelityPlan) -> dict[str, Any]:
    """Say, and return, what the check would cost; nothing is trained but a few steps to time them."""
    return outlook_list(run, NAME, list(plan_check(run, plan).names), "--candidates").record


def run_fidelity(run: RunContext, plan: FidelityPlan) -> FidelityRecord:
    """Train all candidates short and long; writes fidelity.csv, .json, .png and .svg, and returns the .json's content.

    Candidates of which a training failed are left out of the comparison. Raises RunFailedError when too few are left.
    """
    check = plan_check(run, plan)
    run.claim(NAME, {})
    outlook_list(run, NAME, list(check.names), "--candidates")
    names = check.names
    found = run.train(NAME, list(names), lambda request: {"network": names[request]}, NAME)
    rows = _rows(run, check, found)
    replace_text(run.folder.path / "fidelity.csv", fidelity_csv(rows), durable=True)
    ranked = ranking(rows)
    if len(ranked.names) < FEWEST:
        raise RunFailedError(f"only {len(ranked.names)} candidates could be trained throughout; fidelity.csv tells why")
    agreement = ranked.agreement(run.settings.general.seed)
    left_out = tuple(each.name for each in check.candidates if each.name not in ranked.names)
    lines = [*verdict(agreement, check, plan.bar, ranked.macs), *_doubts(ranked, len(left_out))]
    chosen = agreement.recommended(plan.bar)
    record = FidelityRecord(
        data=Path(run.problem.name).name,
        recipe=run.problem.recipe,
        split="val",
        candidates=len(ranked.names),
        left_out=left_out,
        long=LongTraining(check.long, check.long_seeds),
        short_seeds=check.short_seeds,
        stand_ins=tuple(JudgedStandIn(each, each.cost) for each in agreement.stand_ins),
        ceilings=agreement.ceilings,
        long_repeats=agreement.long_repeats,
        bar=plan.bar,
        recommended=None if chosen is None else chosen.name,
        verdict=tuple(lines),
    )
    run.folder.write(record)
    fidelity_pictures(run.folder.path, ranked, agreement, run.problem.name, metric=metric_words(run.problem.metric))
    run.results_written()
    for line in lines:
        run.narrator.say(line)
    return record


def _doubts(ranked: Ranking, left_out: int) -> list[str]:
    """What weakens the finding; left_out: candidates of which a training failed."""
    measured = {**ranked.short, Short(ranked.long_fidelity): ranked.long}
    equal = [str(training) for training, values in measured.items() if np.ptp(values.mean(1)) == 0]
    lines = []
    if equal:
        lines.append(f"warning: after {', '.join(equal)} all candidates are equally accurate: that order tells nothing")
    if left_out:
        lines.append(f"{left_out} candidates are left out: a training of theirs failed")
    return lines


def verdict(agreement: Agreement, check: Check, bar: float, macs: Floats) -> list[str]:
    """What was found, in plain sentences, the recommendation last."""
    seeds = f"{len(check.long_seeds)} seed{'s' if len(check.long_seeds) > 1 else ''}"
    lines = [
        f"{len(macs)} networks of {macs.min() / 1e6:.3g} M to {macs.max() / 1e6:.3g} M MACs, ranked by val accuracy "
        f"after {say_fidelity(check.long)} ({seeds}). Kendall's tau with that ranking [90 % interval]:"
    ]
    for each in agreement.stand_ins:
        gain = "" if each.fidelity is None or each.gain is None else f"; over MACs alone {each.gain}"
        lines.append(f"  {each.name}: {each.tau}{gain}")
    for ceiling in agreement.ceilings:
        exact = "of a long training without noise" if agreement.long_repeats is None else "of that ranking"
        lines.append(
            f"noise: two trainings of {ceiling.training} agree with tau {ceiling.repeats}; so one of "
            f"them can reach {ceiling.one} {exact}, the mean of {len(check.short_seeds)} seeds {ceiling.mean}"
        )
    if agreement.long_repeats is not None:
        lines.append(f"noise: two trainings of {say_fidelity(check.long)} agree with tau {agreement.long_repeats}")
    return [*lines, _recommendation(agreement, bar)]


def _recommendation(agreement: Agreement, bar: float) -> str:
    chosen = agreement.recommended(bar)
    if chosen is None:
        alike = " that begins as the long one" if any(each.from_scratch for each in agreement.stand_ins) else ""
        return f"recommendation: none{alike} reaches tau {bar:g}; train longer (--fidelity) or at more seeds"
    sure = "and so does its interval" if chosen.tau.low >= bar else "though its interval reaches below"
    doubt = chosen.gain is not None and chosen.gain.low <= 0
    aside = "; that it ranks better than MACs alone is not shown" if doubt else ""
    return (
        f"recommendation: {chosen.name}, the cheapest whose tau reaches {bar:g} ({chosen.tau.value:.2f}, {sure}){aside}"
    )


def _rows(run: RunContext, check: Check, found: Mapping[str, Outcome]) -> list[FidelityRow]:
    """One row a training."""
    rows = []
    for request, name, short in check.asked:
        outcome, fidelity, arch = found[request.key], request.fidelity, request.arch
        length = LONG if short is None else SCRATCH if short.from_scratch else SHORT
        rows.append(FidelityRow(
            name, arch.id, run.macs.of(arch), run.params.of(arch), length,
            fidelity.epochs, fidelity.train_fraction, request.seed, outcome.value, outcome.seconds,
            "" if outcome.failure is None else outcome.failure.kind,
        ))  # fmt: skip
    return rows
