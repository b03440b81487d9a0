"""From uint8 images on a device to a float batch: gather, mirror, shift, resize, normalise, cut out. All vectorised.

What comes between shift and resize where a recipe has it is in auto_augment.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from nas.data.auto_augment import DRAWS


@dataclass(frozen=True)
class Augmentation:
    """What is done to training images. flip: mirror them; translate: the largest shift, as a share of the side;
    auto_augment: AutoAugment's ImageNet policy after shift and mirror (see auto_augment.py); cutout: the side of the
    hole as a share of the image's, 0 for none.
    """

    flip: bool = True
    translate: float = 0.125
    auto_augment: bool = False
    cutout: float = 0.0


@dataclass(frozen=True)
class Draws:
    """One epoch's randomness, in the order of training; the same for every architecture, resolution and device.

    order: (n,) int64, places in the training split. flip: (n,) bool. shift: (n, 2) in -1..1. hole: (n, 2) in 0..1.
    policy: (n, DRAWS) in 0..1, on the CPU, what AutoAugment draws (see auto_augment); None where it was not asked for.
    """

    order: Tensor
    flip: Tensor
    shift: Tensor
    hole: Tensor
    policy: Tensor | None = None


def draw_epoch(n: int, seed: int, epoch: int, device: torch.device, *, auto_augment: bool = False) -> Draws:
    """Draws of `epoch` (from 1) of a training on n images, the same with and without those for AutoAugment.

    An image that is mirrored in one epoch is not in the next, which shows both sides evenly (Jordan 2024, 94 % on
    CIFAR-10 in 3.29 seconds, section 3.6).
    """
    generator = torch.Generator().manual_seed(seed)
    first_flip = torch.rand(n, generator=generator) < 0.5
    generator.manual_seed(seed + 1_000_003 * epoch)
    order = torch.randperm(n, generator=generator)
    shift = torch.rand(n, 2, generator=generator) * 2 - 1
    hole = torch.rand(n, 2, generator=generator)
    flip = first_flip[order] ^ bool(epoch % 2)
    policy = torch.rand(n, DRAWS, generator=generator) if auto_augment else None
    return Draws(order.to(device), flip.to(device), shift.to(device), hole.to(device), policy)


def crop_flip(images: Tensor, rows: Tensor, shift: Tensor | None, flip: Tensor | None) -> Tensor:
    """Gather images (N, S, S, C) uint8 at `rows` (B,), moved by `shift` (B, 2) whole pixels, mirrored where `flip`.

    What a shift uncovers is filled by reflection at the border. Returns (B, S, S, C) uint8.
    """
    if shift is None and flip is None:
        return images[rows]
    last = images.shape[1] - 1
    place = torch.arange(last + 1, device=images.device)
    vertical = horizontal = place.expand(len(rows), -1)
    if flip is not None:
        horizontal = torch.where(flip[:, None], last - place, place)
    if shift is not None:
        # Indices beyond 0..last are mirrored back at the edge pixels, which are not repeated.
        moved = torch.stack((vertical, horizontal), 1) + shift[:, :, None]
        vertical, horizontal = (last - (last - moved.abs()).abs()).unbind(1)
    return images[rows[:, None, None], vertical[:, :, None], horizontal[:, None, :]]


def resize(images: Tensor, size: int) -> Tensor:
    """Square images (B, S, S, C) uint8 at another size, bilinear with antialiasing. Returns (B, size, size, C)."""
    if images.shape[1] == size:
        return images
    planes = images.permute(0, 3, 1, 2).float()
    small = F.interpolate(planes, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return small.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def to_grey(images: Tensor) -> Tensor:
    """The brightness (B, S, S, 1) uint8 of images (B, S, S, 3) uint8: luma of ITU-R BT.601, as Pillow's mode L."""
    red, green, blue = (0.299, 0.587, 0.114)
    planes = images.float()
    luma = red * planes[..., 0:1] + green * planes[..., 1:2] + blue * planes[..., 2:3]
    return luma.round_().clamp_(0, 255).to(torch.uint8)


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(B, S, S, C) uint8 to (B, C, S, S) float32 in channels_last layout; mean and std (C,) are in 0..255."""
    return images.float().sub_(mean).div_(std).permute(0, 3, 1, 2)


def cut_out(batch: Tensor, hole: Tensor, side: int) -> Tensor:
    """Set a square of `side` pixels, centred at the share `hole` (B, 2) of the image, to the mean (DeVries 2017)."""
    size = batch.shape[-1]
    centre = (hole * size).long()[:, :, None]
    place = torch.arange(size, device=batch.device)
    inside = (place >= centre - side // 2) & (place < centre - side // 2 + side)
    return batch.masked_fill_(inside[:, 0, None, :, None] & inside[:, 1, None, None, :], 0.0)
