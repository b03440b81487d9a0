"""A network stage by stage, a detector part by part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rich.table import Table

from experiments.run.naming import load_arch
from search_spaces import ArchSpec, network_cost, stage_costs
from search_spaces.cost import Cost, StageCost
from search_spaces.detection import DETECTOR_NAMES, DetectorSpec, detector_cost, detector_costs, reference_detector


def inspect_named(text: str, resolution: int | None, num_classes: int | None) -> dict[str, Any]:
    """What `scalenas inspect` shows of a detector by name, or of whatever `load_arch` takes; the usual classes when
    None."""
    if text in DETECTOR_NAMES:
        return inspect_detector(reference_detector(text), resolution, num_classes)
    return inspect_arch(load_arch(text), resolution, num_classes or 1000)


def inspect_arch(arch: ArchSpec, resolution: int | None, num_classes: int) -> dict[str, Any]:
    """MACs, parameters and output of every stage, and the totals, as plain data."""
    rows = [_row(row, _block(arch, row.name)) for row in stage_costs(arch, resolution, num_classes)]
    total = network_cost(arch, resolution, num_classes)
    return {"id": arch.id, **_facts(resolution or arch.resolution, num_classes, total), "stages": rows}


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


def _block(arch: ArchSpec, name: str) -> str:
    if not name.startswith("stage "):
        return ""
    stage = arch.stages[int(name.removeprefix("stage ")) - 1]
    se = f" se{stage.se:g}" if stage.se else ""
    act = f" {stage.activation}" if stage.activation else ""
    skip = "" if stage.skip == "identity" else f" {stage.skip} skip"
    return f"{stage.layers} x {stage.term} k{stage.kernel} s{stage.stride}{se}{act}{skip}"
