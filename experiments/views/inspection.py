"""A network stage by stage, a detector part by part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rich.table import Table

from experiments.errors import UserError
from experiments.run.naming import load_arch
from search_spaces import ArchSpec, network_cost, stage_costs
from search_spaces.cost import Cost, StageCost
from search_spaces.detection import DETECTOR_NAMES, DetectorSpec, detector_cost, detector_costs, reference_detector
from search_spaces.memory import BYTES, part_flash, part_peaks


def inspect_named(
    text: str, resolution: int | None, num_classes: int | None, *, verify: bool = False
) -> dict[str, Any]:
    """What `scalenas inspect` shows of a detector by name, or of whatever `load_arch` takes; the usual classes when
    None. verify: count the built network by others' means, too. Raises UserError."""
    if text in DETECTOR_NAMES:
        if verify:
            raise UserError("--verify builds classifiers alone: leave it out for a detector")
        return inspect_detector(reference_detector(text), resolution, num_classes)
    arch = load_arch(text)
    facts = inspect_arch(arch, resolution, num_classes or 1000)
    if verify:
        facts["verified"] = _verified(replace(arch, resolution=facts["resolution"]), facts["num_classes"])
    return facts


def inspect_arch(arch: ArchSpec, resolution: int | None, num_classes: int) -> dict[str, Any]:
    """MACs, parameters, output, peak of RAM and flash of every stage, and the totals, as plain data. Bytes are told by
    precision, for one image."""
    peaks = part_peaks(arch, resolution, num_classes)
    flash = {precision: part_flash(arch, num_classes, precision) for precision in BYTES}
    rows = []
    for i, (row, (_, peak)) in enumerate(zip(stage_costs(arch, resolution, num_classes), peaks, strict=True)):
        memory = {
            "ram": {precision: size * peak.values for precision, size in BYTES.items()},
            "flash": {precision: flash[precision][i][1] for precision in BYTES},
            "peak_at": peak.place,
            "live": [{"by": by, "channels": shape.channels, "size": shape.size} for by, shape in peak.live],
        }
        rows.append({**_row(row, _block(arch, row.name)), **memory})
    total = network_cost(arch, resolution, num_classes)
    name, highest = max(peaks, key=lambda part: part.peak.values)
    return {
        "id": arch.id,
        **_facts(resolution or arch.resolution, num_classes, total),
        "ram": {precision: size * highest.values for precision, size in BYTES.items()},
        "flash": {precision: sum(size for _, size in flash[precision]) for precision in BYTES},
        "peak_in": name,
        "stages": rows,
    }


def _verified(arch: ArchSpec, num_classes: int) -> dict[str, Any]:
    """The counts of the built network: multiply-adds by fvcore, parameters by torch."""
    from experiments.views.verification import built_counts  # noqa: PLC0415  torch takes seconds to load

    macs, params = built_counts(arch, num_classes)
    return {"macs": macs, "params": params}


def inspect_detector(spec: DetectorSpec, resolution: int | None, num_classes: int | None) -> dict[str, Any]:
    """The same of a detector's parts. The id is its backbone's."""
    backbone = replace(spec.backbone, resolution=resolution or spec.backbone.resolution)
    spec = replace(spec, backbone=backbone, num_classes=num_classes or spec.num_classes)
    head = f"{spec.head_layers} x separable"
    blocks = (f"{len(backbone.stages)} stages", f"{spec.fpn_layers} x cell", head, head)
    rows = [_row(row, block) for row, block in zip(detector_costs(spec), blocks, strict=True)]
    return {"id": backbone.id, **_facts(backbone.resolution, spec.num_classes, detector_cost(spec)), "stages": rows}


def _facts(resolution: int, num_classes: int, total: Cost) -> dict[str, Any]:
    return {
        "resolution": resolution,
        "num_classes": num_classes,
        "macs": total.macs,
        "params": total.params,
        "activations": total.activations,
    }


def _row(row: StageCost, block: str) -> dict[str, Any]:
    return {
        "stage": row.name,
        "block": block,
        "output": f"{row.output.channels}x{row.output.size}x{row.output.size}",
        "macs": row.cost.macs,
        "params": row.cost.params,
    }


def inspect_table(facts: dict[str, Any]) -> Table:
    """The same for people."""
    title = f"{facts['macs']:,} MACs, {facts['params']:,} params at {facts['resolution']} pixels"
    table = Table(title=f"{title}, {facts['num_classes']} classes (id {facts['id']})", title_justify="left")
    for name in ("stage", "block", "output"):
        table.add_column(name)
    for name in ("MACs", "share", "params"):
        table.add_column(name, justify="right")
    for row in facts["stages"]:
        share = f"{100 * row['macs'] / facts['macs']:.1f} %"
        table.add_row(row["stage"], row["block"], row["output"], f"{row['macs']:,}", share, f"{row['params']:,}")
    return table


def memory_table(facts: dict[str, Any]) -> Table:
    """Peak of RAM and flash of every stage, in bytes of int8, and where the peak is, for people."""
    ram, flash = facts["ram"], facts["flash"]
    title = (
        f"peak RAM {ram['int8']:,} bytes in int8 ({ram['float32']:,} in float32), in {facts['peak_in']}; "
        f"flash {flash['int8']:,} ({flash['float32']:,})"
    )
    table = Table(title=title, title_justify="left")
    table.add_column("stage")
    for name in ("RAM int8", "flash int8"):
        table.add_column(name, justify="right")
    for name in ("peak at", "live then"):
        table.add_column(name)
    for row in facts["stages"]:
        live = " + ".join(f"{each['channels']}x{each['size']}x{each['size']} ({each['by']})" for each in row["live"])
        table.add_row(row["stage"], f"{row['ram']['int8']:,}", f"{row['flash']['int8']:,}", row["peak_at"], live)
    return table


def verified_line(facts: dict[str, Any]) -> str:
    """What others count, beside our own count, for people."""
    found = facts["verified"]
    agree = all(found[name] == facts[name] for name in found)
    return f"verified on the built network: {found['macs']:,} MACs by fvcore, {found['params']:,} params by torch; " + (
        "both as counted" if agree else "NOT as counted"
    )


def _block(arch: ArchSpec, name: str) -> str:
    if not name.startswith("stage "):
        return ""
    stage = arch.stages[int(name.removeprefix("stage ")) - 1]
    se = f" se{stage.se:g}" if stage.se else ""
    act = f" {stage.activation}" if stage.activation else ""
    skip = "" if stage.skip == "identity" else f" {stage.skip} skip"
    return f"{stage.layers} x {stage.term} k{stage.kernel} s{stage.stride}{se}{act}{skip}"
