"""Open a data set: list it, split it, decode it once into a cache, and describe it in a small value."""

from __future__ import annotations

import hashlib
import json
import logging
import statistics
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.data import summary
from nas.data.cache import DIGEST_BYTES, PENDING, READ, Cache, OnDecoded, Reader, Row, open_cache
from nas.data.dataset import SPLITS, DataError, Dataset
from nas.data.decode import Reason, UnreadableError, decode_square, look, side_of
from nas.data.digits import CLASSES, load_digits
from nas.data.folder import scan_folder
from nas.data.levels import Levels, Seen
from nas.data.splits import Indices, stratified_order, stratified_split
from nas.data.summary import Items, Remark
from nas.data.walk import ImageFile
from nas.files import replacing
from nas.machine import usable_cores

_log = logging.getLogger(__name__)

DECODING = 2  # raised when the same file would be decoded to other pixels, or a cache holds other files
SAMPLED_SIZES = 1000
SAMPLED_STATISTICS = 10_000
MOST_BYTES = 1 << 29
"""A larger file is not read."""

Splits = dict[str, Indices]


@dataclass(frozen=True)
class _Division:
    """How a data set is divided where it does not divide itself."""

    seed: int
    val_fraction: float
    test_fraction: float
    train_images: int | None

    def __post_init__(self) -> None:
        val, test = self.val_fraction, self.test_fraction
        if not (0 < val < 1 and 0 <= test < 1 and val + test < 1):
            raise DataError(f"the val and test fractions must be in 0..1 and leave a rest, not {val:g} and {test:g}")
        if self.train_images is not None and self.train_images < 1:
            raise DataError(f"the number of training images must be at least 1, not {self.train_images}")


@dataclass(frozen=True)
class _Plan:
    """Which items are used and where: `splits` holds indices into `labels` (all items there are)."""

    name: str
    classes: tuple[str, ...]
    labels: Indices
    splits: Splits

    @property
    def used(self) -> Indices:
        return np.concatenate([self.splits[split] for split in SPLITS])


def open_dataset(  # noqa: PLR0913  public: options, each by its name
    source: str | Path,
    cache_dir: Path,
    *,
    max_resolution: int | None = None,
    seed: int = 0,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
    train_images: int | None = None,
    max_bad_share: float = 0.1,
    progress: OnDecoded | None = None,
    tell: Callable[[str], None] | None = None,
) -> Dataset:
    """Open `digits` or an image folder and decode what is not in `cache_dir` yet.

    A folder holds `train/<class>/*.jpg` with optional `val/` and `test/`, or `<class>/*.jpg`. What is missing is
    split off, stratified by `seed`: val and test of bare classes or a lone train/, val where only test/ is given;
    where val/ is given and test/ is not there is no test split. The fractions are of the images divided.
    `train_images` caps the training images (stratified, by seed); val and test stay whole.

    The cache holds squares of `max_resolution` pixels or of the native size (the median short side) if that is
    smaller, so only images smaller than most are ever enlarged. Unreadable files are left out. `tell` is given, line by
    line and in at most nine, what is used for what, what is not and why, and what looks wrong; without it the latter is
    logged as warnings. Raises DataError, in one line, for data that cannot be used and when more than `max_bad_share`
    of the files cannot be read.
    """
    if max_resolution is not None and max_resolution < 1:
        raise DataError(f"max_resolution must be at least 1 pixel, not {max_resolution}")
    division = _Division(seed, val_fraction, test_fraction, train_images)
    if str(source) == "digits":
        return _open_digits(cache_dir, division, progress)
    return _open_folder(
        Path(source), cache_dir, division, max_resolution=max_resolution, max_bad_share=max_bad_share,
        progress=progress, tell=tell,
    )  # fmt: skip


def _open_digits(cache_dir: Path, division: _Division, progress: OnDecoded | None) -> Dataset:
    """Always cached whole: 8 pixels are no burden."""
    images, labels = load_digits()
    native = images.shape[1]
    plan = _plan("digits", CLASSES, labels, {"all": np.arange(len(labels))}, division)
    used = plan.used
    digests = [_digest(images[item].tobytes()) for item in used]
    key = hashlib.sha256(b"".join(digests)).hexdigest()[:16]
    shape = (len(used), *images.shape[1:])
    place = cache_dir / f"digits-{DECODING}-{key}"
    cache = open_cache(place, shape, str, lambda row, _: Row(READ, images[used[row]], digests[row]), progress)
    return _describe(plan, cache, native, native, images.shape[-1], flip=False, mark="")


def _open_folder(
    root: Path,
    cache_dir: Path,
    division: _Division,
    *,
    max_resolution: int | None,
    max_bad_share: float,
    progress: OnDecoded | None,
    tell: Callable[[str], None] | None,
) -> Dataset:
    listing = scan_folder(root)
    files = [file for members in listing.files.values() for file in members]
    given: Splits = {}
    for split, members in listing.files.items():
        start = sum(len(part) for part in given.values())
        given[split] = np.arange(start, start + len(members))
    labels = np.concatenate([np.repeat(np.arange(len(each)), each) for each in listing.counts.values()])
    plan = _plan(str(root), listing.classes, labels, given, division)
    used = [files[item] for item in plan.used]
    reading = _Reading(used, {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd files that it reads all the same
        native = _native_size(root, used[: len(plan.splits["train"])])
        size = min(native, max_resolution or native)
        place = cache_dir / f"images-{_key(root, used, size)}"
        cache = open_cache(place, (len(used), size, size, 3), reading.survey, reading.reader(size), progress)
    unread = _check_unread(plan, used, cache, reading.failed, max_bad_share)
    levels = Levels.from_json(cache.survey)
    dataset = _describe(plan, cache, native, size, 3, flip=True, mark=levels.mark)
    items = _items(plan, used, cache)
    cut = [split for split in SPLITS[1:] if split not in given and dataset.counts[split]]
    remarks = [
        *summary.of_layout(listing, cut), *unread, *summary.of_values(levels), *summary.of_looks(items),
        *summary.of_duplicates(items),
    ]  # fmt: skip
    _tell(dataset, remarks, tell)
    return dataset


def _tell(dataset: Dataset, remarks: Iterable[Remark], tell: Callable[[str], None] | None) -> None:
    for remark in remarks:
        if tell is not None:
            tell(str(remark))
        elif remark.warning:
            _log.warning("%s: %s", dataset.name, remark.text)


def _items(plan: _Plan, used: list[ImageFile], cache: Cache) -> Items:
    good = np.flatnonzero(cache.state == READ)
    sizes = [len(plan.splits[split]) for split in SPLITS]
    return Items(
        names=np.array([used[row].name for row in good], dtype=object),
        labels=plan.labels[plan.used][good],
        splits=np.repeat(np.arange(len(SPLITS)), sizes)[good],
        digests=cache.digests[good],
        spans=cache.spans[good],
    )


def _plan(name: str, classes: tuple[str, ...], labels: Indices, given: Splits, division: _Division) -> _Plan:
    """Split off what is not given, and put the training items in stratified order, cut to their cap."""
    splits = {"val": np.array([], dtype=np.int64), "test": np.array([], dtype=np.int64), **given}
    whole = splits.pop("all") if "all" in given else splits["train"]
    if "val" not in given:
        counts = np.bincount(labels[whole], minlength=len(classes))
        if counts.min() < 2:
            alone = classes[int(counts.argmin())]
            raise DataError(f"{name}: class {alone!r} has one image, too few to be split; add some or remove the class")
        wanted = {"val": division.val_fraction}
        if "test" not in given:
            wanted["test"] = division.test_fraction
        rest, *parts = stratified_split(labels[whole], tuple(wanted.values()), division.seed)
        splits["train"] = whole[rest]
        splits.update({split: whole[part] for split, part in zip(wanted, parts, strict=True)})
    limit = division.train_images
    if limit is not None and limit < len(classes):
        raise DataError(f"{name}: {limit} training images are fewer than the {len(classes)} classes")
    train = splits["train"]
    splits["train"] = train[stratified_order(labels[train], division.seed)][:limit]
    return _Plan(name, classes, labels, splits)


def _native_size(root: Path, files: list[ImageFile]) -> int:
    """The median side of up to SAMPLED_SIZES files, evenly spaced."""
    sides = []
    for file in files[:: max(1, len(files) // SAMPLED_SIZES)]:
        try:
            sides.append(side_of(file.path))
        except (OSError, UnreadableError):
            continue
    if not sides:
        raise DataError(f"{root}: no readable images ({files[0].name} is not an image)")
    return int(statistics.median(sides))


def _key(root: Path, used: list[ImageFile], size: int) -> str:
    """The cache's name: a cheap key that changes when a file, the choice of files or their decoding does."""
    told = [DECODING, size, str(root.resolve()), [(file.name, file.size, file.mtime) for file in used]]
    return hashlib.sha256(json.dumps(told).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class _Reading:
    """Files on their way into a cache. failed: why a row could not be read this time, as a file that may not be."""

    files: list[ImageFile]
    failed: dict[int, str]

    def survey(self) -> str:
        """The levels of the data set, from all files whose pixels leave them open."""
        with ThreadPoolExecutor(usable_cores()) as pool:
            return Levels.of(pool.map(_look, self.files, chunksize=64)).to_json()

    def reader(self, size: int) -> Reader:
        def read(row: int, survey: str) -> Row:
            try:
                data = _read(self.files[row])
                return Row(READ, decode_square(data, size, Levels.from_json(survey)), _digest(data))
            except UnreadableError as error:
                return Row(error.reason)
            except (OSError, MemoryError) as error:
                self.failed[row] = (getattr(error, "strerror", None) or "no memory left for it").lower()
                return Row(PENDING)

        return read


def _look(file: ImageFile) -> Seen:
    try:
        return look(_read(file))
    except (UnreadableError, OSError, MemoryError):
        return Seen()  # reading it again will say why


def _read(file: ImageFile) -> bytes:
    if file.size > MOST_BYTES:
        raise UnreadableError(Reason.TOO_LARGE)
    return file.path.read_bytes()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def _check_unread(
    plan: _Plan, used: list[ImageFile], cache: Cache, failed: Mapping[int, str], max_bad_share: float
) -> list[Remark]:
    """The unreadable files, with the reason; raises DataError where they leave a hole or are too many."""
    bad = np.flatnonzero(cache.state != READ)
    if not len(bad):
        return []
    why = {
        used[row].name: failed.get(int(row), "not read yet") if state == PENDING else Reason(state).words
        for row, state in zip(bad, cache.state[bad], strict=True)
    }
    train = len(plan.splits["train"])
    labels = plan.labels[plan.used]
    readable = set(labels[:train][cache.state[:train] == READ])
    for row in bad:
        if labels[row] not in readable:
            name = used[row].name
            raise DataError(
                f"{plan.name}: class {plan.classes[labels[row]]!r} has no readable training image ({name}: {why[name]})"
            )
    count, named = f"{len(bad)} of {len(used)} files cannot be read", summary.of_unread(why)
    if len(bad) > max_bad_share * len(used):
        raise DataError(f"{plan.name}: {count}, more than {max_bad_share:.0%}: {named}")
    return [Remark(f"{count} and are left out: {named}", warning=True)]


def _describe(plan: _Plan, cache: Cache, native: int, size: int, channels: int, *, flip: bool, mark: str) -> Dataset:
    """Write the splits beside the images and sum everything up. mark: what the pixels depend on beside the files."""
    good = cache.state == READ
    arrays: dict[str, Indices] = {}
    content = hashlib.sha256(json.dumps(plan.classes).encode("utf-8", "surrogatepass") + mark.encode())
    start = 0
    for split in SPLITS:
        members = plan.splits[split]
        rows = start + np.flatnonzero(good[start : start + len(members)])
        labels = plan.labels[members][rows - start]
        start += len(members)
        if len(members) and not len(rows):
            raise DataError(f"{plan.name}: none of the {split} images can be read")
        arrays |= {f"{split}_rows": rows, f"{split}_labels": labels}
        content.update(split.encode() + labels.astype("<i8").tobytes() + cache.digests[rows].tobytes())
    fingerprint = content.hexdigest()[:16]
    splits_path = cache.images_path.with_name(f"splits-{fingerprint}.npz")
    _write_arrays(splits_path, arrays)
    mean, std = _statistics(cache, arrays["train_rows"][:SAMPLED_STATISTICS])
    return Dataset(
        name=plan.name,
        classes=plan.classes,
        native_size=native,
        size=size,
        channels=channels,
        counts={split: len(arrays[f"{split}_rows"]) for split in SPLITS},
        fingerprint=fingerprint,
        mean=mean,
        std=std,
        flip=flip,
        images_path=cache.images_path,
        splits_path=splits_path,
    )


def _write_arrays(path: Path, arrays: dict[str, Indices]) -> None:
    if path.exists():
        return
    try:
        with replacing(path, durable=False) as draft, draft.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None


def _statistics(cache: Cache, rows: Indices) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, in 0..1, from exact integer counts of the 256 levels."""
    images = np.load(cache.images_path, mmap_mode="r")
    counts = np.zeros((images.shape[-1], 256), dtype=np.int64)
    for chunk in np.array_split(rows, max(1, len(rows) // 256)):
        pixels = images[chunk]
        for channel in range(images.shape[-1]):
            counts[channel] += np.bincount(pixels[..., channel].ravel(), minlength=256)
    levels = np.arange(256) / 255
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0))
    # An even picture has no spread; 1/255 keeps the division harmless.
    return tuple(map(float, mean)), tuple(float(max(s, 1 / 255)) for s in std)
