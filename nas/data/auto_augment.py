"""AutoAugment's ImageNet policy (Cubuk et al. 2019, "Learning Augmentation Strategies from Data") on whole batches.

Every operation takes images (N, S, S, C) uint8 on any device, some with an amount for each, (N,) float64,
and returns new images of that shape. An image's result is Pillow's, and does not depend on the others in its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

DRAWS = 5
"""Random numbers that an image's augmentation takes."""

FILL = 128
"""What a shear or rotation uncovers: mid-grey, as in EfficientNet's published code, since black would stretch what
the operations after it make of an image's range and histogram."""


# --- Operations on values --------------------------------------------------------------------------------------------


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest `bits` (1..8) of each value."""
    return images & _each(256 - 2 ** (8 - bits), images, torch.uint8)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert the values from `threshold` (0..256) on."""
    return torch.where(images < _each(threshold, images, torch.int16), images, 255 - images)


def invert(images: Tensor) -> Tensor:
    """255 minus each value."""
    return 255 - images


def auto_contrast(images: Tensor) -> Tensor:
    """Stretch each channel linearly to 0..255, rounding down; a channel of one value stays as it is."""
    low, high = (extreme.double() for extreme in (images.amin((1, 2), keepdim=True), images.amax((1, 2), keepdim=True)))
    # To the bit as Pillow computes it, since it is rounded down. (255 / tensor would multiply by the reciprocal.)
    scale = torch.full_like(high, 255.0) / (high - low).clamp(min=1)
    stretched = (images * scale + -low * scale).clamp_(0, 255).to(torch.uint8)
    return torch.where(high > low, stretched, images)


def equalize(images: Tensor) -> Tensor:
    """Give each channel an even histogram; one with fewer than 255 pixels below its highest value stays."""
    n, size, _, channels = images.shape
    rows = n * channels
    places = images + 256 * torch.arange(rows, device=images.device).view(n, 1, 1, channels)
    # Not by bincount, which on a GPU waits for the largest value.
    flat = places.flatten()
    counts = torch.zeros(256 * rows, dtype=torch.long, device=images.device)
    counts = counts.scatter_add_(0, flat, torch.ones_like(flat)).view(rows, 256)
    highest = counts.gather(1, images.amax((1, 2)).view(rows, 1).long())
    step = (size * size - highest) // 255
    below = counts.cumsum(1) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(max=255)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device))
    return table.to(torch.uint8).flatten()[places]


# --- Operations that move away from, or towards, a plainer image -----------------------------------------------------


def color(images: Tensor, factor: Tensor) -> Tensor:
    """Between the image in grey (factor 0) and the image (1), or beyond (up to 2)."""
    return blend(_grey(images), images, factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Between the mean of its grey (factor 0) and the image (1), or beyond (up to 2)."""
    count = images.shape[1] * images.shape[2]
    total = _grey(images).sum((1, 2), keepdim=True)
    return blend((2 * total + count) // (2 * count), images, factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Between the smoothed image (factor 0) and the image (1), or beyond (up to 2).

    Smoothed: the mean of 3x3 pixels, the middle one counted five times; those at the border are left as they are.
    """
    values = images.int()
    columns = values[:, :-2] + values[:, 1:-1] + values[:, 2:]
    sums = columns[:, :, :-2] + columns[:, :, 1:-1] + columns[:, :, 2:] + 4 * values[:, 1:-1, 1:-1]
    smooth = values.clone()
    smooth[:, 1:-1, 1:-1] = (2 * sums + 13) // 26
    return blend(smooth, images, factor)


def _grey(images: Tensor) -> Tensor:
    """(N, S, S, 1) int32: ITU-R 601's luma, in Pillow's fixed point; the mean where channels are no colours."""
    channels = images.shape[-1]
    if channels != 3:
        return (2 * images.int().sum(-1, keepdim=True) + channels) // (2 * channels)
    red, green, blue = images.int().unbind(-1)
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16)[..., None]


def blend(plain: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    """plain + factor * (images - plain) in single precision, clipped and rounded down; `plain` broadcasts."""
    base = plain.float()
    mixed = base + _each(factor, images, torch.float32) * (images - base)
    return mixed.clamp_(0, 255).to(torch.uint8)


def _each(amount: Tensor, images: Tensor, dtype: torch.dtype) -> Tensor:
    """An amount for each image, (N, 1, 1, 1) on the images' device."""
    return amount.to(images.device, dtype)[:, None, None, None]


# --- Operations on places --------------------------------------------------------------------------------------------


def shear_x(images: Tensor, amount: Tensor) -> Tensor:
    """Each row takes its pixels from `amount` times its place further right (left where negative)."""
    one, zero = torch.ones_like(amount), torch.zeros_like(amount)
    return _move(images, (one, amount, zero), (zero, one, zero))


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Turn about the centre, anticlockwise."""
    angle = -torch.deg2rad(degrees)
    cos, sin = torch.cos(angle), torch.sin(angle)
    centre = images.shape[1] / 2
    return _move(
        images,
        (cos, sin, centre - centre * cos - centre * sin),
        (-sin, cos, centre + centre * sin - centre * cos),
    )


_Line = tuple[Tensor, Tensor, Tensor]  # a, b, c of a x + b y + c, each (N,) float64


def _move(images: Tensor, to_column: _Line, to_row: _Line) -> Tensor:
    """Each pixel (x, y) from the nearest to column a x + b y + c and a row likewise; FILL from outside."""
    size = images.shape[1]
    place = torch.arange(size, device=images.device)
    column, row = (_source(place, *line) for line in (to_column, to_row))
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    image = torch.arange(len(images), device=images.device)[:, None, None]
    moved = images[image, row.clamp_(0, size - 1), column.clamp_(0, size - 1)]
    return moved.masked_fill_(~inside[..., None], FILL)


def _source(place: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """floor(a x + b y + c) at the centres of pixels, in Pillow's fixed point: (N, S, S) int64, rows y by columns x."""
    fixed = torch.stack([a, b, c + a * 0.5 + b * 0.5]) * 65536
    along, across, start = torch.floor(fixed + 0.5).long().to(place.device)[:, :, None, None].unbind()
    return (start + along * place + across * place[:, None]) >> 16


# --- The policy ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """What is done to images with an amount for each; the amount that a level (0..9) stands for; is its sign drawn?"""

    run: Callable[[Tensor, Tensor], Tensor]
    amount: Callable[[int], float]
    either_way: bool = False


def _without_amount(run: Callable[[Tensor], Tensor]) -> Operation:
    return Operation(lambda images, _: run(images), lambda _: 0.0)


def _enhancement(level: int) -> float:
    return 0.1 + 1.8 * level / 10


OPERATIONS: Mapping[str, Operation] = {
    "auto_contrast": _without_amount(auto_contrast),
    "color": Operation(color, _enhancement),
    "contrast": Operation(contrast, _enhancement),
    "equalize": _without_amount(equalize),
    "invert": _without_amount(invert),
    "posterize": Operation(posterize, lambda level: 4 + 4 * level // 10),
    "rotate": Operation(rotate, lambda level: 30 * level / 10, either_way=True),
    "sharpness": Operation(sharpness, _enhancement),
    "shear_x": Operation(shear_x, lambda level: 0.3 * level / 10, either_way=True),
    "solarize": Operation(solarize, lambda level: 256 * level // 10),
}
"""The ranges of the paper's table of operations; a level is a tenth of the range, as in the authors' code."""

POLICY: tuple[tuple[tuple[str, float, int], tuple[str, float, int]], ...] = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("auto_contrast", 0.6, 5)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 7)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 8), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("color", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
    (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("color", 1.0, 2)),
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
    (("shear_x", 0.6, 5), ("equalize", 1.0, 9)),
    (("color", 0.4, 0), ("equalize", 0.6, 3)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("auto_contrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
)
"""The sub-policies of the paper's ImageNet table: two operations each, with probability and level (0..9)."""


@dataclass(frozen=True)
class Part:
    """An operation of the policy, and the images of a batch that go through it: `rows` (n,), with `amounts` (n,)."""

    run: Callable[[Tensor, Tensor], Tensor]
    rows: Tensor
    amounts: Tensor


def plan_batches(draws: Tensor, size: int, device: torch.device) -> list[list[Part]]:
    """What each whole batch of `size` images goes through, in this order; its tensors are on `device`.

    draws: (N, DRAWS) in 0..1, below 1, on the CPU: which sub-policy, whether its two operations happen, and their
    signs. All is decided here and brought to the device at once, so that no batch waits for it.
    """
    chosen = (draws[:, 0] * len(POLICY)).long()
    signs = torch.where(draws[:, 3:] < 0.5, -1.0, 1.0).double()
    parts: list[list[Operation]] = []
    rows, amounts = [], []
    for start in range(0, len(draws) - size + 1, size):
        batch = slice(start, start + size)
        parts.append([])
        for turn in range(2):
            kind, chance, amount = (column[chosen[batch]] for column in _TURNS[turn])
            kind[draws[batch, 1 + turn] >= chance] = -1
            for number, operation in enumerate(OPERATIONS.values()):
                drew = torch.nonzero(kind == number).flatten()
                if len(drew):
                    parts[-1].append(operation)
                    rows.append(drew)
                    amounts.append(amount[drew] * signs[batch, turn][drew] if operation.either_way else amount[drew])
    if not rows:
        return [[] for _ in parts]
    counts = [len(each) for each in rows]
    placed = zip(
        torch.split(torch.cat(rows).to(device), counts), torch.split(torch.cat(amounts).to(device), counts), strict=True
    )
    return [[Part(operation.run, *next(placed)) for operation in batch] for batch in parts]


def augment_batch(images: Tensor, parts: Sequence[Part]) -> Tensor:
    """The images (N, S, S, C) uint8 after all parts; they are left alone."""
    images = images.clone()
    for part in parts:
        images[part.rows] = part.run(images[part.rows], part.amounts)
    return images


def auto_augment(images: Tensor, draws: Tensor) -> Tensor:
    """Each image by a sub-policy of its own: both of its operations in turn, each with its probability.

    images: (N, S, S, C) uint8, which are left alone; the result has their shape and is on their device. draws: see
    `plan_batches`.
    """
    return augment_batch(images, plan_batches(draws, len(images), images.device)[0]) if len(images) else images


def _turn(turn: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of each sub-policy's first or second operation, (25,): its place in OPERATIONS, probability and amount."""
    steps = [pair[turn] for pair in POLICY]
    return (
        torch.tensor([list(OPERATIONS).index(name) for name, _, _ in steps]),
        torch.tensor([chance for _, chance, _ in steps]),
        torch.tensor([OPERATIONS[name].amount(level) for name, _, level in steps], dtype=torch.float64),
    )


_TURNS = (_turn(0), _turn(1))
