"""AutoAugment against Pillow, image by image: each operation, and the whole policy."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from nas.data import auto_augment as ours
from nas.data.augment import Augmentation, draw_epoch
from nas.data.auto_augment import DRAWS, FILL, OPERATIONS, POLICY, auto_augment
from nas.data.feed import Feed
from nas.training.recipe import fast, paper

CPU = torch.device("cpu")

# Pillow's ImageEnhance mixes in C; a compiler that fuses the product with the sum may round one level otherwise.
ENHANCED = 0 if platform.machine() in ("x86_64", "AMD64") else 1

Pillow = Callable[[Image.Image, float], Image.Image]


def moved(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    fill = (128,) * len(image.getbands()) if image.mode == "RGB" else 128
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=fill)


def turned(image: Image.Image, degrees: float) -> Image.Image:
    return image.rotate(degrees, Image.Resampling.NEAREST, fillcolor=(128, 128, 128) if image.mode == "RGB" else 128)


PILLOW: dict[str, Pillow] = {
    "auto_contrast": lambda image, _: ImageOps.autocontrast(image),
    "color": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "invert": lambda image, _: ImageOps.invert(image),
    "posterize": lambda image, bits: ImageOps.posterize(image, int(bits)),
    "rotate": turned,
    "sharpness": lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor),
    "shear_x": lambda image, amount: moved(image, (1, amount, 0, 0, 1, 0)),
    "solarize": lambda image, threshold: ImageOps.solarize(image, int(threshold)),
}

# Every operation and level of the policy, worked out by hand from the paper's ranges.
AMOUNTS = {
    ("posterize", 5): 6, ("posterize", 6): 6, ("posterize", 7): 6, ("posterize", 8): 7,
    ("solarize", 3): 76, ("solarize", 4): 102, ("solarize", 5): 128, ("solarize", 7): 179, ("solarize", 8): 204,
    ("rotate", 3): 9, ("rotate", 8): 24, ("rotate", 9): 27, ("shear_x", 5): 0.15,
    ("color", 0): 0.1, ("color", 2): 0.46, ("color", 4): 0.82, ("color", 8): 1.54,
    ("contrast", 8): 1.54, ("sharpness", 7): 1.36,
}  # fmt: skip


def some_images(n: int, size: int, channels: int, seed: int) -> np.ndarray:
    """Noise over all values, over a few, over a narrow range, smooth ramps, and images of one value, in turn."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (n, size, size, channels))
    ramp = np.broadcast_to(np.arange(size)[:, None, None] * 7 + np.arange(size)[:, None] * 3, (n, size, size, 1))
    kinds = [noise, noise // 64 * 80, noise // 5 + 90, (ramp + noise // 32) % 256, np.full_like(noise, seed % 256)]
    return np.stack([kinds[i % len(kinds)][i] for i in range(n)]).astype(np.uint8)


def by_pillow(image: np.ndarray, name: str, amount: float) -> np.ndarray:
    flat = image[..., 0] if image.shape[-1] == 1 else image
    return np.asarray(PILLOW[name](Image.fromarray(flat), amount)).reshape(image.shape)


def farthest(got: Tensor, wanted: np.ndarray) -> int:
    return int(np.abs(got.numpy().astype(int) - wanted.astype(int)).max(initial=0))


# --- Operations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=40, deadline=None)
@given(st.sampled_from([1, 2, 3, 5, 8, 15, 16, 17, 24, 32, 48]), st.sampled_from([1, 3]), st.integers(0, 9999))
def test_an_operation_gives_pillows_values(name: str, size: int, channels: int, seed: int) -> None:
    images = some_images(10, size, channels, seed)
    before = images.copy()
    amounts = np.random.default_rng(seed).choice([OPERATIONS[name].amount(level) for level in range(10)], len(images))
    if OPERATIONS[name].either_way:
        amounts *= np.random.default_rng(seed + 1).choice([-1, 1], len(images))
    got = OPERATIONS[name].run(torch.from_numpy(images), torch.from_numpy(amounts))
    assert (got.dtype, got.shape) == (torch.uint8, images.shape)
    assert np.array_equal(images, before)
    wanted = np.stack([by_pillow(image, name, amount) for image, amount in zip(images, amounts.tolist(), strict=True)])
    assert farthest(got, wanted) <= (ENHANCED if name in ("color", "contrast", "sharpness") else 0)


@pytest.mark.parametrize("factor", [0.1, 0.46, 0.82, 1.36, 1.54, 1.9])
def test_every_pair_of_values_is_mixed_as_by_pillow(factor: float) -> None:
    plain, image = np.meshgrid(*[np.arange(256, dtype=np.uint8)] * 2)
    wanted = np.asarray(Image.blend(Image.fromarray(plain.copy()), Image.fromarray(image.copy()), factor))
    first, second = (torch.from_numpy(each.copy())[None, :, :, None] for each in (plain, image))
    assert farthest(ours.blend(first, second, torch.tensor([factor]).double())[0, :, :, 0], wanted) <= ENHANCED


def test_colour_leaves_grey_images_alone() -> None:
    images = torch.from_numpy(some_images(4, 8, 1, 0))
    assert torch.equal(ours.color(images, torch.full((4,), 0.1).double()), images)


def test_what_a_rotation_uncovers_is_grey() -> None:
    images = torch.zeros((2, 16, 16, 3), dtype=torch.uint8)
    turned = ours.rotate(images, torch.tensor([27.0, -27.0]).double())
    assert set(turned.unique().tolist()) == {0, FILL}
    assert (turned[:, [0, 0, -1, -1], [0, -1, 0, -1]] == FILL).all()


# --- The policy ------------------------------------------------------------------------------------------------------


def test_the_policy_keeps_to_its_search_space() -> None:
    assert len(POLICY) == 25
    steps = [step for pair in POLICY for step in pair]
    assert {round(5 * chance, 9) for _, chance, _ in steps} <= set(range(6))
    assert all(level in range(10) for _, _, level in steps)
    # How often each operation is in the paper's table.
    assert Counter(name for name, _, _ in steps) == {
        "equalize": 17, "solarize": 7, "color": 6, "rotate": 6, "posterize": 5, "invert": 3, "auto_contrast": 2,
        "contrast": 2, "sharpness": 1, "shear_x": 1,
    }  # fmt: skip


def test_levels_stand_for_the_papers_amounts() -> None:
    used = {(name, level) for pair in POLICY for name, _, level in pair}
    assert {key for key in used if key[0] not in ("auto_contrast", "equalize", "invert")} == AMOUNTS.keys()
    for (name, level), amount in AMOUNTS.items():
        assert OPERATIONS[name].amount(level) == pytest.approx(amount, abs=1e-12)


def policy_by_pillow(image: np.ndarray, draws: list[float]) -> np.ndarray:
    chosen, *rest = draws
    for turn, (name, chance, level) in enumerate(POLICY[int(chosen * 25)]):
        sign = -1 if name in ("rotate", "shear_x") and rest[2 + turn] < 0.5 else 1
        if rest[turn] < chance:
            image = by_pillow(image, name, sign * AMOUNTS.get((name, level), 0))
    return image


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([8, 16, 23, 32]), st.sampled_from([1, 3]), st.integers(0, 9999))
def test_the_policy_gives_pillows_values(size: int, channels: int, seed: int) -> None:
    images = some_images(60, size, channels, seed)
    draws = torch.rand(60, DRAWS, generator=torch.Generator().manual_seed(seed))
    got = auto_augment(torch.from_numpy(images), draws)
    assert (got.dtype, got.shape) == (torch.uint8, images.shape)
    wanted = np.stack([policy_by_pillow(*each) for each in zip(images, draws.double().tolist(), strict=True)])
    if ENHANCED == 0:
        assert np.array_equal(got.numpy(), wanted)
    else:  # a level may be stretched by what comes after
        assert np.mean(got.numpy() == wanted) > 0.9


@pytest.mark.parametrize("chosen", range(25))
def test_an_operation_happens_where_its_draw_is_below_its_probability(chosen: int) -> None:
    image = some_images(1, 20, 3, 3)
    for turn, (name, chance, level) in enumerate(POLICY[chosen]):
        if POLICY[chosen][1 - turn][1] == 1:
            continue  # the other operation happens whatever is drawn
        draws = torch.full((2, DRAWS), 1 - 2**-24)
        draws[:, 0] = (chosen + 0.5) / 25
        draws[:, 1 + turn] = torch.tensor([max(chance - 1e-6, 0), min(chance, 1 - 2**-24)])
        below, at = auto_augment(torch.from_numpy(image).expand(2, -1, -1, -1), draws)
        alone = by_pillow(image[0], name, AMOUNTS.get((name, level), 0))
        assert farthest(below, alone if chance > 0 else image[0]) <= ENHANCED
        assert farthest(at, alone if chance == 1 else image[0]) <= ENHANCED


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(1, 20), st.sampled_from([1, 3]), st.integers(0, 9999))
def test_images_are_augmented_each_for_itself(n: int, size: int, channels: int, seed: int) -> None:
    images = torch.from_numpy(some_images(n, size, channels, seed))
    draws = torch.rand(n, DRAWS, generator=torch.Generator().manual_seed(seed))
    before = images.clone()
    whole = auto_augment(images, draws)
    assert torch.equal(images, before)
    assert torch.equal(auto_augment(images, draws), whole)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(auto_augment(images[order], draws[order]), whole[order])
    for i in range(n):
        assert torch.equal(auto_augment(images[i : i + 1], draws[i : i + 1]), whole[i : i + 1])


def test_no_images_are_no_mistake() -> None:
    assert auto_augment(torch.empty((0, 8, 8, 3), dtype=torch.uint8), torch.empty(0, DRAWS)).shape == (0, 8, 8, 3)


# --- Draws and batches -----------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 200), st.integers(0, 2**31), st.integers(1, 50))
def test_draws_for_the_policy_leave_the_others_as_they_are(n: int, seed: int, epoch: int) -> None:
    without, with_policy = (draw_epoch(n, seed, epoch, CPU, auto_augment=asked) for asked in (False, True))
    assert without.policy is None
    assert all(
        torch.equal(getattr(without, name), getattr(with_policy, name)) for name in ("order", "flip", "shift", "hole")
    )
    policy, again, after, other = (
        draw_epoch(n, *which, CPU, auto_augment=True).policy
        for which in ((seed, epoch), (seed, epoch), (seed, epoch + 1), (seed + 1, epoch))
    )
    assert policy is not None
    assert policy.shape == (n, DRAWS)
    assert float(policy.min()) >= 0
    assert float(policy.max()) < 1
    assert again is not None
    assert torch.equal(policy, again)
    assert after is not None
    assert other is not None
    assert not torch.equal(policy, after)
    assert not torch.equal(policy, other)


def test_the_highest_draw_is_the_last_sub_policy() -> None:
    below_one = torch.tensor(1 - 2**-24)
    assert below_one < 1
    assert int(below_one * len(POLICY)) == len(POLICY) - 1


def test_recipes_ask_for_it() -> None:
    assert not fast().augmentation.auto_augment
    assert paper().augmentation.auto_augment


def a_feed(images: np.ndarray) -> Feed:
    channels = images.shape[-1]
    return Feed(
        torch.from_numpy(images), torch.arange(len(images)), torch.zeros(len(images), dtype=torch.long),
        torch.zeros(channels), torch.full((channels,), 255.0), images.shape[1], channels,
    )  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
def test_batches_are_augmented_after_shift_and_mirror(channels: int) -> None:
    images = a_feed(some_images(30, 16, channels, 1))
    draws = draw_epoch(30, 0, 1, CPU, auto_augment=True)
    assert draws.policy is not None
    asked, plain = Augmentation(auto_augment=True), Augmentation()
    for step, ((got, _), (before, _)) in enumerate(
        zip(images.shuffled(10, draws, asked, flip=True), images.shuffled(10, draws, plain, flip=True), strict=True)
    ):
        cut = (before * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        wanted = auto_augment(cut, draws.policy[10 * step : 10 * step + 10])
        assert torch.equal((got * 255).round().to(torch.uint8).permute(0, 2, 3, 1), wanted)
        assert not torch.equal(got, before)


def test_draws_without_numbers_for_it_are_refused() -> None:
    with pytest.raises(ValueError, match="auto_augment=True"):
        next(
            a_feed(some_images(4, 8, 3, 0)).shuffled(
                2, draw_epoch(4, 0, 1, CPU), Augmentation(auto_augment=True), flip=True
            )
        )
