"""Splits and orders of labels: exact partitions, every class in proportion."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas.data.splits import grouped_split, stratified_order, stratified_split

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=120).map(lambda ls: np.array(ls, dtype=np.int64))
SEEDS = st.integers(0, 2**32 - 1)
FRACTION = st.floats(0.01, 0.45)


@given(LABELS, FRACTION, FRACTION, SEEDS)
def test_a_split_is_a_stratified_partition(labels: np.ndarray, first: float, second: float, seed: int) -> None:
    parts = stratified_split(labels, (first, second), seed)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for label in np.unique(labels):
        n = int((labels == label).sum())
        rest, one, two = (int((labels[part] == label).sum()) for part in parts)
        assert rest >= 1
        assert one == min(max(1, round(n * first)), n - 1)
        assert two == min(max(1, round(n * second)), n - 1 - one)


@given(LABELS, SEEDS)
def test_every_prefix_of_the_order_is_stratified(labels: np.ndarray, seed: int) -> None:
    order = stratified_order(labels, seed)
    assert sorted(order) == list(range(len(labels)))
    classes, counts = np.unique(labels, return_counts=True)
    assert set(labels[order][: len(classes)]) == set(classes)
    for length in range(len(classes), len(labels) + 1):
        held = np.array([(labels[order[:length]] == label).sum() for label in classes])
        # Each class is rounded by at most one item, and all the roundings together move the prefix's length.
        assert (np.abs(held - counts * length / len(labels)) <= 1 + counts / len(labels) * len(classes)).all()


@given(LABELS, SEEDS)
def test_the_seed_alone_decides(labels: np.ndarray, seed: int) -> None:
    assert np.array_equal(stratified_order(labels, seed), stratified_order(labels.copy(), seed))
    again = stratified_split(labels, (0.2, 0.2), seed)
    assert all(np.array_equal(a, b) for a, b in zip(stratified_split(labels, (0.2, 0.2), seed), again, strict=True))


def test_other_seeds_choose_other_items() -> None:
    labels = np.repeat(np.arange(4), 50)
    assert not np.array_equal(stratified_order(labels, 0), stratified_order(labels, 1))
    assert not np.array_equal(stratified_split(labels, (0.2,), 0)[1], stratified_split(labels, (0.2,), 1)[1])


@st.composite
def grouped(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    labels = draw(LABELS)
    groups = draw(st.lists(st.integers(0, 12), min_size=len(labels), max_size=len(labels)))
    return labels, np.unique(groups, return_inverse=True)[1]


@given(grouped(), FRACTION, FRACTION, SEEDS)
def test_no_group_is_torn_apart_and_the_rest_has_all_classes(
    items: tuple[np.ndarray, np.ndarray], first: float, second: float, seed: int
) -> None:
    labels, groups = items
    parts = grouped_split(labels, groups, (first, second), seed)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    in_part = [set(groups[part]) for part in parts]
    assert sum(map(len, in_part)) == len(set(groups))
    assert set(labels[parts[0]]) == set(labels)
    again = grouped_split(labels, groups, (first, second), seed)
    assert all(np.array_equal(one, other) for one, other in zip(parts, again, strict=True))


def test_groups_are_divided_in_proportion() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), generator.integers(1, 12, 60))
    labels = generator.integers(0, 3, len(groups))
    _, val, test = grouped_split(labels, groups, (0.15, 0.2), 0)
    for part, fraction in ((val, 0.15), (test, 0.2)):
        shares = np.bincount(labels[part], minlength=3) / np.bincount(labels)
        assert np.abs(shares - fraction).max() < 0.05


def test_every_part_gets_a_group_where_it_can() -> None:
    labels, groups = np.tile([0, 1], 30), np.repeat([0, 1, 2], 20)
    assert [len(part) for part in grouped_split(labels, groups, (0.1, 0.1), 0)] == [20, 20, 20]
    one_class_each = np.repeat([0, 1, 2], 20)
    assert [len(part) for part in grouped_split(one_class_each, groups, (0.1, 0.1), 0)] == [60, 0, 0]


def test_a_class_with_two_images_gets_into_train() -> None:
    labels = np.array([0] * 40 + [1] * 2 + [2] * 3)
    for seed in range(20):
        train, val, test = (set(labels[part]) for part in stratified_split(labels, (0.15, 0.15), seed))
        assert train == val == {0, 1, 2}
        assert test == {0, 2}
