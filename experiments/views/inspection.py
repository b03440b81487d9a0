"""A network stage by stage."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from search_spaces import ArchSpec, network_cost, stage_costs


def inspect_arch(arch: ArchSpec, resolution: int | None, num_classes: int) -> dict[str, Any]:
    """MACs, parameters and output of every stage, and the totals, as plain data."""
    rows = []
    for row in stage_costs(arch, resolution, num_classes):
        rows.append(
            {
                "stage": row.name,
                "block": _block(arch, row.name),
                "output": f"{row.output.channels}x{row.output.size}x{row.output.size}",
                "macs": row.cost.macs,
                "params": row.cost.params,
            }
        )
    total = network_cost(arch, resolution, num_classes)
    return {
        "id": arch.id,
        "resolution": resolution or arch.resolution,
        "num_classes": num_classes,
        "macs": total.macs,
        "params": total.params,
        "activations": total.activations,
        "stages": rows,
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
