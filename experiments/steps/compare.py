"""The third step: train what is to be compared at one fidelity, and draw the frontier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.errors import RunFailedError, UserError
from experiments.pictures.run_folder import frontier_pictures
from experiments.plans.forecasts import CONSTANT
from experiments.plans.opponents import (
    FRONTIER,
    PLANS,
    Entry,
    decided,
    opponent,
    opponents,
    plan_requests,
    pretrained_entries,
)
from experiments.plans.outlook import outlook_list
from experiments.records import BaselineRecord, CoefficientsRecord, FamilyRecord, ForecastRecord, RunRecord
from experiments.records.record import named_record
from experiments.records.values import needed
from experiments.run.context import RunContext, in_int8
from experiments.run.folder import RunFolder
from experiments.run.forecast import total_seconds
from experiments.run.models import drop_seeds, keep_models
from experiments.run.teacher import check_teacher, open_teacher, taught
from experiments.tables.differences import differences, differences_csv
from experiments.tables.forecasts import score_line
from experiments.tables.frontier import FrontierPoint, measured_point, merge_points, points_csv, read_points
from experiments.tables.standing import NOT_PRETRAINED, lacks_pretrained, standing
from experiments.wording import percent
from nas.evaluation import Request, with_int8
from nas.files import replace_text
from nas.score import Score
from nas.search import candidates
from nas.study.store import read_study
from scaling_search import Coefficients, FamilyMember, family
from scaling_search.coefficients import EFFICIENTNET
from scaling_search.verdict import ALTERNATIVES
from search_spaces import ArchSpec

NAME = FRONTIER
Place = tuple[str, int]
"""A network's label and a seed."""


def run_entries(run: RunContext) -> list[Entry]:
    """What a whole run compares: its baseline, the family up to family_phi, the best of the search, its rivals if asked
    for, and those known networks that can be fitted to the baseline's cost."""
    return _entries_of(run, run.folder.get(FamilyRecord).members)


def forecast_run_entries(run: RunContext, arch: ArchSpec) -> list[Entry]:
    """What a whole run would compare with `arch` as its baseline, grown by EfficientNet's coefficients."""
    phis = range(run.settings.final.family_phi + 1)
    found = _entries_of(run, family(arch, EFFICIENTNET, phis, run.growth_rule, num_classes=run.num_classes))
    if run.settings.general.arch:  # no search, and so no candidates
        return found
    short = run.settings.final.top - 1 - sum(entry.role == "candidate" for entry in found)
    return found + [Entry.of(f"candidate {i}", "candidate", arch) for i in range(short)]


def _entries_of(run: RunContext, members: Sequence[FamilyMember]) -> list[Entry]:
    settings, folder = run.settings, run.folder
    grown = [member for member in members if member.phi >= 0]
    entries = [
        Entry.of("baseline" if phi == 0 else f"phi {phi:g}", "baseline" if phi == 0 else "family", arch)
        for phi, arch in ((member.phi, member.arch) for member in grown)
        if phi <= settings.final.family_phi
    ]
    taken = {entry.arch.id for entry in entries}
    if folder.journal("discover").exists():
        study = read_study(folder.journal("discover"), "discover")
        best = [c for c in candidates(study, _score(folder)) if c.arch.id not in taken]
        entries += [Entry.of(f"trial {c.number}", "candidate", c.arch) for c in best[: settings.final.top - 1]]
    if settings.final.rivals:
        entries += rival_entries(run, grown[0].arch)
    entries += opponents(run, settings.final.references, run.macs.of(grown[0].arch))
    return _either_recipe(run, entries) + _pretrained(run, entries)


def _either_recipe(run: RunContext, entries: Sequence[Entry]) -> list[Entry]:
    """Networks with inherited weights may be trained as from scratch or by smaller steps; which suits differs
    from one to the next, so that a short training of each is to show it.
    """
    parent = run.problem.parent
    if parent is None:
        return list(entries)
    return [
        replace(entry, methods=(None, parent.fine_tuned.method)) if entry.method is None else entry for entry in entries
    ]


def _pretrained(run: RunContext, entries: Sequence[Entry]) -> list[Entry]:
    """Pretrained networks at the costs of the others, known ones aside unless there are no others."""
    own = [entry for entry in entries if entry.role in ("baseline", "family")] or entries
    return pretrained_entries(run, sorted({float(run.macs.of(entry.arch)) for entry in own}))


def _score(folder: RunFolder) -> Score:
    """What the search of a run was for."""
    with named_record(RunRecord, folder.record):
        return needed(folder.read().score, "score")


def rival_entries(run: RunContext, arch: ArchSpec) -> list[Entry]:
    """The baseline `arch` grown by EfficientNet's coefficients, by dWr and by each dimension alone, at the family's
    costs; beside an adaptive family also by the constant coefficients, from phi 2 on."""
    phis = range(1, run.settings.final.family_phi + 1)
    ways = {way: (Coefficients.from_shares(shares, 2.0), phis) for way, shares in ALTERNATIVES.items()}
    found = run.folder.find(CoefficientsRecord)
    if found is not None and found.by_size:
        ways[CONSTANT] = (found.finding.coefficients, phis[1:])
    return [
        Entry.of(f"{way}, phi {member.phi:g}", "rival", member.arch)
        for way, (coefficients, sizes) in ways.items()
        for member in family(arch, coefficients, sizes, run.growth_rule, num_classes=run.num_classes)
    ]


def forecast_compare(run: RunContext, entries: Sequence[Entry]) -> dict[str, Any]:
    """Say, and return, what a comparison would cost; nothing is trained but a few steps to time them."""
    check_teacher(run)
    run.folder.check({"final epochs": run.final.epochs, "final split": run.problem.final_split})
    plans = list(plan_requests(run, entries))
    forecasts = {PLANS: outlook_list(run, PLANS, plans, None, "ways to fit known networks")} if plans else {}
    asked = list(_requests(run, entries).values())
    forecasts[NAME] = outlook_list(run, NAME, asked, None, "frontier")
    if run.settings.final.teacher is not None:
        again = len(_taught_entries(entries)) * run.settings.final.final_seeds
        run.narrator.say(f"  and {again} trainings with the teacher, each slower than without: not counted here")
    return {"seconds": total_seconds(forecasts.values())} | {name: each.record for name, each in forecasts.items()}


def compare_entries(run: RunContext) -> list[Entry]:
    """What `compare` trains: every --arch, or without any the run's baseline, if it has one, and known networks."""
    target = compare_target(run)
    if run.settings.general.arch:
        entries = [opponent(run, name, target) for name in dict.fromkeys(run.settings.general.arch)]
    else:
        found = run.folder.find(BaselineRecord)
        own = [] if found is None else [Entry.of("baseline", "baseline", found.arch)]
        entries = own + opponents(run, run.settings.final.references, target)
    return _either_recipe(run, entries) + _pretrained(run, entries)


def compare_target(run: RunContext) -> float | None:
    """The MACs known networks are fitted to: what the user says, else those of this run's baseline."""
    found = run.folder.find(BaselineRecord) if run.settings.figures.target_macs == "auto" else None
    return None if found is None else float(found.macs)


def no_further_seed() -> bool:
    """No further seeds than were asked for."""
    return False


def run_compare(
    run: RunContext, entries: Sequence[Entry], another_seed: Callable[[], bool] = no_further_seed
) -> list[FrontierPoint]:
    """Train every entry, by the best of its plans, at the final fidelity and all seeds; writes frontier.csv, .png, .svg
    and differences.csv. another_seed: asked at the end whether the settings now have a further seed, to be trained."""
    check_teacher(run)
    _claim(run)
    chosen = _decide(run, entries)
    points = _train(run, chosen)
    while another_seed():
        _claim(run)
        points = _train(run, chosen)
    for each in differences(points):
        run.narrator.say(str(each))
    if (expected := _forecast(run)) and (line := score_line(expected, points)):
        run.narrator.say(line)
    placed, baseline = standing(points), run.folder.find(BaselineRecord)
    if placed is not None and baseline is not None:
        if run.pool.images is not None and lacks_pretrained(placed, points):
            run.narrator.say(NOT_PRETRAINED)
        run.narrator.say(placed.sentence(baseline.called))
    return points


def _claim(run: RunContext) -> None:
    identity = {"final epochs": run.final.epochs, "final split": run.problem.final_split, "growth": run.growth_rule}
    run.claim(NAME, identity)


def _train(run: RunContext, chosen: Sequence[Entry]) -> list[FrontierPoint]:
    """Train the entries and write the frontier's files."""
    measured = _measure(run, chosen)
    if not measured:
        raise RunFailedError("nothing could be trained for the frontier; compare.journal tells why")
    if run.settings.final.teacher is not None:
        measured += _distil(run, chosen, run.settings.final.teacher)
    drop_seeds(run)
    points = write_frontier(run, measured)
    replace_text(run.folder.path / "differences.csv", differences_csv(differences(points)), durable=True)
    run.results_written()
    return points


def _decide(run: RunContext, entries: Sequence[Entry]) -> list[Entry]:
    """Every entry with one plan: the best on val where there are several, after short trainings."""
    asked = plan_requests(run, entries)
    requests = list(asked)
    if requests and run.unanswered(PLANS, requests):
        outlook_list(run, PLANS, requests, None, "ways to fit known networks")
    outcomes = run.train(PLANS, requests, asked.__getitem__, PLANS) if requests else {}
    return [decided(run, entry, outcomes) for entry in entries]


def _measure(run: RunContext, entries: Sequence[Entry]) -> list[FrontierPoint]:
    """A point for each entry that could be trained."""
    problem = run.problem
    seeds = _seeds(run)
    requests = _with_known_int8(run, _requests(run, entries))
    labels = {requests[entry.label, seed].key: entry.noted for entry in entries for seed in seeds}
    outcomes = run.train(NAME, list(requests.values()), lambda request: labels[request.key], NAME)
    measured, trained = [], {}
    for entry in entries:
        asked = [requests[entry.label, seed] for seed in seeds]
        found = [outcomes[request.key] for request in asked]
        values = [outcome.value for outcome in found if outcome.value is not None]
        if values:
            tries = zip(asked, found, strict=True)
            trained[entry.label] = [each for each in tries if each[1].value is not None]
            measured.append(
                measured_point(
                    entry.label,
                    entry.role,
                    entry.arch,
                    values,
                    run=run.folder.path.name,
                    data=Path(problem.name).name,
                    split=problem.final_split,
                    epochs=run.final.epochs,
                    recipe=problem.recipe if entry.method is None else problem.recipe_of(entry.method),
                    num_classes=run.num_classes,
                    plan=entry.plan,
                    int8=in_int8(found),
                )
            )
            _say_int8(run, measured[-1])
        else:
            run.narrator.say(f"warning: {entry.label} could not be trained: {found[0].failure}")
    keep_models(run, trained)
    return measured


def _requests(run: RunContext, entries: Sequence[Entry]) -> dict[Place, Request]:
    """The trainings of the frontier, by the first of each entry's plans."""
    split = run.problem.final_split
    return {
        (entry.label, seed): run.request(entry.arch, run.final, seed, split, method=entry.method, looked_at=True)
        for seed in _seeds(run)
        for entry in entries
    }


def _seeds(run: RunContext) -> list[int]:
    return [run.settings.general.seed + i for i in range(run.settings.final.final_seeds)]


def _distil(run: RunContext, entries: Sequence[Entry], text: str) -> list[FrontierPoint]:
    """Those that have a teacher once more, each with the teacher to imitate."""
    teacher = open_teacher(run, text)
    run.narrator.say(f"teacher: {teacher.file}, val {percent(teacher.record.accuracy.val)}")
    later, methods = taught(run, teacher)
    return _measure(
        later,
        [
            replace(
                entry,
                label=f"{entry.label}, distilled",
                role="distilled",
                methods=(None if entry.method is None else methods[entry.method],),
            )
            for entry in _taught_entries(entries)
        ],
    )


def _taught_entries(entries: Sequence[Entry]) -> list[Entry]:
    """The baseline and its family; where neither is among them, all but the pretrained networks."""
    own = [entry for entry in entries if entry.role in ("baseline", "family")]
    return own or [entry for entry in entries if entry.role != "pretrained"]


def _say_int8(run: RunContext, point: FrontierPoint) -> None:
    if point.int8 is not None:
        plain, after = percent(point.accuracy, point.std), percent(point.int8, point.int8_std)
        gap = f"{100 * (point.int8 - point.accuracy):+.1f} points"
        run.narrator.say(
            f"int8: {point.label}, {after} against {plain} in float32, {gap}; "
            f"{point.ram:,.0f} bytes of RAM, {point.flash:,.0f} of flash"
        )


def _with_known_int8(run: RunContext, requests: Mapping[Place, Request]) -> dict[Place, Request]:
    """The requests, but with the accuracy in int8 too where the same training was measured in it before."""
    twins = {place: replace(request, method=with_int8(request.method)) for place, request in requests.items()}
    missing = {request.key for request in run.unanswered(NAME, list(twins.values()))}
    if run.settings.training.int8:
        return dict(requests)
    return {place: request if twins[place].key in missing else twins[place] for place, request in requests.items()}


def write_frontier(run: RunContext, measured: Sequence[FrontierPoint]) -> list[FrontierPoint]:
    """Merge points into a run's frontier.csv and draw it again; returns all points."""
    folder = run.folder.path
    table = folder / "frontier.csv"
    points = merge_points(read_points(table) if table.exists() else [], measured)
    replace_text(table, points_csv(points), durable=True)
    frontier_pictures(folder, points, _forecast(run))
    return points


def _forecast(run: RunContext) -> ForecastRecord | None:
    """What was expected of the family. A damaged file of it is told, and no reason to lose the frontier."""
    try:
        return run.folder.find(ForecastRecord)
    except UserError as error:
        run.narrator.say(f"warning: {error}")
        return None
