"""Augmentation against plain numpy, image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nas.data.augment import crop_flip, cut_out, draw_epoch, normalise, resize


def some_images(n: int, size: int, channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, channels), dtype=np.uint8)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.sampled_from([1, 3]), st.integers(0, 10_000))
def test_shift_and_flip_are_a_reflected_pad_a_crop_and_a_mirror(size: int, channels: int, seed: int) -> None:
    images = some_images(6, size, channels, seed)
    rng = np.random.default_rng(seed)
    reach = size // 2
    rows, shift = rng.integers(0, 6, 4), rng.integers(-reach, reach + 1, (4, 2))
    flip = rng.random(4) < 0.5
    got = crop_flip(*map(torch.from_numpy, (images, rows, shift, flip)))
    for i, row in enumerate(rows):
        padded = np.pad(images[row], [(reach, reach), (reach, reach), (0, 0)], mode="reflect")
        down, right = shift[i] + reach
        crop = padded[down : down + size, right : right + size]
        assert np.array_equal(got[i].numpy(), crop[:, ::-1] if flip[i] else crop)


def test_without_draws_images_are_only_gathered() -> None:
    images = torch.from_numpy(some_images(5, 4, 3))
    rows = torch.tensor([3, 0, 3])
    assert torch.equal(crop_flip(images, rows, None, None), images[rows])


@pytest.mark.parametrize(("size", "new"), [(32, 22), (32, 16), (48, 20), (8, 11)])
def test_resizing_agrees_with_pillow(size: int, new: int) -> None:
    image = some_images(1, size, 3)[0]
    wanted = np.asarray(Image.fromarray(image).resize((new, new), Image.Resampling.BILINEAR)).astype(int)
    got = resize(torch.from_numpy(image)[None], new)
    assert got.dtype == torch.uint8
    assert got.shape == (1, new, new, 3)
    assert np.abs(got[0].numpy().astype(int) - wanted).max() <= 1


def test_resizing_to_the_same_size_changes_nothing() -> None:
    images = torch.from_numpy(some_images(2, 8, 3))
    assert torch.equal(resize(images, 8), images)


def test_normalised_batches_are_channels_last_with_mean_0_and_spread_1() -> None:
    images = some_images(50, 8, 3)
    mean, std = (torch.tensor(f(images, axis=(0, 1, 2)), dtype=torch.float32) for f in (np.mean, np.std))
    batch = normalise(torch.from_numpy(images), mean, std)
    assert batch.shape == (50, 3, 8, 8)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(batch.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(batch.std((0, 2, 3), unbiased=False), torch.ones(3), atol=1e-5)


def test_a_hole_is_a_square_clipped_at_the_border() -> None:
    batch = cut_out(torch.ones(3, 2, 8, 8), torch.tensor([[0.5, 0.5], [0.0, 0.0], [0.99, 0.5]]), 4)
    wanted = np.ones((3, 2, 8, 8))
    wanted[0, :, 2:6, 2:6] = 0
    wanted[1, :, 0:2, 0:2] = 0
    wanted[2, :, 5:8, 2:6] = 0
    assert np.array_equal(batch.numpy(), wanted)


@given(st.integers(2, 200), st.integers(0, 2**31), st.integers(1, 50))
@settings(max_examples=25, deadline=None)
def test_draws_cover_the_images_and_depend_on_seed_and_epoch(n: int, seed: int, epoch: int) -> None:
    cpu = torch.device("cpu")
    one, same = draw_epoch(n, seed, epoch, cpu), draw_epoch(n, seed, epoch, cpu)
    assert sorted(one.order.tolist()) == list(range(n))
    assert all(torch.equal(getattr(one, name), getattr(same, name)) for name in ("order", "flip", "shift", "hole"))
    assert float(one.shift.abs().max()) <= 1
    after = draw_epoch(n, seed, epoch + 1, cpu)
    # Each image is mirrored in exactly one of two epochs.
    now, then = (draws.flip[draws.order.argsort()] for draws in (one, after))
    assert torch.equal(now, ~then)
    if n > 20:
        assert not torch.equal(one.order, after.order)
        assert not torch.equal(one.order, draw_epoch(n, seed + 1, epoch, cpu).order)
