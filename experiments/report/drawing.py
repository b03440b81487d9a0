"""Architectures as plain data for pictures and details: stage by stage, with shapes and costs."""

from __future__ import annotations

from typing import Any

from search_spaces import ArchSpec, Stage, network_cost, stage_costs


def stage_words(stage: Stage) -> str:
    """One stage in a line, such as `3 x MBConv6 5x5, SE 0.25, stride 2, 40 channels`."""
    parts = [f"{stage.layers} x {stage.label}" + (f" {stage.kernel}x{stage.kernel}" if stage.kernel else "")]
    parts += [f"SE {stage.se:g}"] if stage.se else []
    parts += [f"stride {stage.stride}"] if stage.stride > 1 else []
    parts += [f"{stage.channels} channels"]
    parts += [{"none": "no"}.get(stage.skip, stage.skip) + " skip"] if stage.skip != "identity" else []
    return ", ".join(parts)


def drawing(arch: ArchSpec, num_classes: int, title: str) -> dict[str, Any]:
    """What the page draws of a network: one row for stem, every stage and head. Sizes are map sides in pixels after the
    row's layers, macs and params are counts for one image at the architecture's resolution."""
    total = network_cost(arch, None, num_classes)
    costs = stage_costs(arch, None, num_classes)
    rows = [_ends(costs[0].name, f"Conv {arch.stem.kernel}x{arch.stem.kernel}", arch.stem.channels, arch.stem.stride)]
    rows += [
        {"name": cost.name, "block": stage.label, "family": stage.family, "kernel": stage.kernel,
         "stride": stage.stride, "expand": stage.expand, "se": stage.se, "skip": stage.skip,
         "layers": stage.layers, "channels": stage.channels}
        for cost, stage in zip(costs[1:-1], arch.stages, strict=True)
    ]  # fmt: skip
    rows.append(_ends(costs[-1].name, "Conv 1x1, classes", arch.head.channels or num_classes, 1))
    for row, cost in zip(rows, costs, strict=True):
        row["macs"], row["params"] = cost.cost.macs, cost.cost.params
        row["size"] = cost.output.size
    return {"title": title, "id": arch.id, "resolution": arch.resolution, "macs": total.macs, "params": total.params,
            "stages": rows}  # fmt: skip


def _ends(name: str, block: str, channels: int, stride: int) -> dict[str, Any]:
    return {"name": name, "block": block, "family": "end", "kernel": 0, "stride": stride, "expand": 1, "se": 0.0,
            "skip": "", "layers": 1, "channels": channels}  # fmt: skip
