"""Open a data set: list it, split it, decode it once into a cache, and describe it in a small value."""

from __future__ import annotations

import hashlib
import json
import logging
import statistics
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data import summary
from nas.data.cache import DIGEST_BYTES, PENDING, READ, Cache, OnDecoded, Reader, Row, open_cache
from nas.data.dataset import SPLITS, DataError, Dataset
from nas.data.decode import CROPS, Frame, Reading, Reason, UnreadableError, decode_square, frame_of, look
from nas.data.digits import CLASSES, load_digits
from nas.data.folder import Listing, scan_folder
from nas.data.levels import Levels, Seen
from nas.data.splits import Division, Indices, Plan, divide
from nas.data.summary import Items, Remark, shown
from nas.data.walk import ImageFile
from nas.files import replacing
from nas.machine import usable_cores

_log = logging.getLogger(__name__)

DECODING = 3  # raised when the same file would be decoded to other pixels, or a cache holds other files
SAMPLED_SIZES = 1000
SAMPLED_STATISTICS = 10_000
MOST_BYTES = 1 << 29
"""A larger file is not read."""


def open_dataset(  # noqa: PLR0913  public: options, each by its name
    source: str | Path,
    cache_dir: Path,
    *,
    max_resolution: int | None = None,
    seed: int = 0,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
    train_images: int | None = None,
    group: str | None = None,
    max_bad_share: float = 0.1,
    crop: str = "center",
    grey: bool = False,
    flip: bool = True,
    levels: Levels | None = None,
    progress: OnDecoded | None = None,
    tell: Callable[[str], None] | None = None,
) -> Dataset:
    """Open `digits` or an image folder and decode what is not in `cache_dir` yet.

    A folder holds `train/<class>/*.jpg` with optional `val/` and `test/`, or `<class>/*.jpg`. What is missing is
    split off, stratified by `seed`: val and test of bare classes or a lone train/, val where only test/ is given;
    where val/ is given and test/ is not there is no test split. The fractions are of the images divided.
    `train_images` caps the training images (stratified, by seed); val and test stay whole. `group` is a regular
    expression: images of a folder are never split apart where it finds the same in their names, as `cat/ann_1.png`
    (its groups in brackets where it has any, else all that it matches); a name without it is a group of its own.

    The cache holds squares of `max_resolution` pixels or of the native size (the median short side) if that is
    smaller, so only images smaller than most are ever enlarged. `crop`: how images of a folder become squares, see
    decode_square. Images of neither one nor three channels (.npy files, TIFFs) keep all of them, those of one become
    three equal ones. `grey`: whether to keep one channel, not three. `flip`: whether a mirrored image of it still
    shows its class. Unreadable files are left out.

    `levels`: how numbers of more than 8 bits and transparency are read, in place of what suits these images.

    `tell` is given, line by line and in at most nine, what is used for what, what is not and why, and what looks wrong;
    without it the latter is logged as warnings. Raises DataError, in one line, for data that cannot be used and when
    more than `max_bad_share` of the files cannot be read.
    """
    if max_resolution is not None and max_resolution < 1:
        raise DataError(f"max_resolution must be at least 1 pixel, not {max_resolution}")
    if crop not in CROPS:
        raise DataError(f"`crop` must be one of {', '.join(CROPS)}, not {crop!r}")
    division = Division(seed, val_fraction, test_fraction, train_images, group)
    if str(source) == "digits":
        return _open_digits(cache_dir, division, progress)
    folder = _Folder(Path(source), cache_dir, max_resolution, max_bad_share, crop, grey, flip, levels)
    dataset, remarks = folder.open(division, progress)
    for remark in remarks:
        if tell is not None:
            tell(str(remark))
        elif remark.warning:
            _log.warning("%s: %s", dataset.name, remark.text)
    return dataset


def _open_digits(cache_dir: Path, division: Division, progress: OnDecoded | None) -> Dataset:
    """Always cached whole: 8 pixels are no burden."""
    images, labels = load_digits()
    native = images.shape[1]
    plan = divide(Plan("digits", CLASSES, labels, {"all": np.arange(len(labels))}), division)
    used = plan.used
    digests = [_digest(images[item].tobytes()) for item in used]
    key = hashlib.sha256(b"".join(digests)).hexdigest()[:16]
    shape = (len(used), *images.shape[1:])
    place = cache_dir / f"digits-{DECODING}-{key}"
    cache = open_cache(place, shape, str, lambda row, _: Row(READ, images[used[row]], digests[row]), progress)
    reading = Reading(native, images.shape[-1])
    return _describe(plan, cache, native, reading, np.full(len(used), ""), flip=False, mark="")


@dataclass(frozen=True)
class _Folder:
    """A folder of images and how it is to be read; see open_dataset."""

    root: Path
    cache_dir: Path
    max_resolution: int | None
    max_bad_share: float
    crop: str
    grey: bool
    flip: bool
    levels: Levels | None

    def open(self, division: Division, progress: OnDecoded | None) -> tuple[Dataset, list[Remark]]:
        """The data set, and what is to be said about it."""
        listing = scan_folder(self.root)
        plan = _plan_folder(str(self.root), listing, division)
        used = [file for members in listing.files.values() for file in members]
        used = [used[item] for item in plan.used]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd files that it reads all the same
            frames = _frames(self.root, used[: len(plan.splits["train"])], self.crop)
            native, channels = int(statistics.median(frame.side for frame in frames)), self._channels(frames)
            size = min(native, self.max_resolution or native)
            reading = _Reading(used, self.crop, channels, self.levels, {})
            told: tuple[int | str, ...] = (size, self.crop, channels)
            if self.levels is not None:
                told += (self.levels.to_json(),)
            place = self.cache_dir / f"images-{_key(self.root, used, told)}"
            cache = open_cache(place, (len(used), size, size, channels), reading.survey, reading.reader(size), progress)
        unread = _check_unread(plan, used, cache, reading.failed, self.max_bad_share)
        levels = _levels_of(cache)
        read_as = (levels.mark, "" if self.crop == CROPS[0] else self.crop, "grey" if self.grey else "")
        mark = ", ".join(filter(None, read_as))
        names = np.array([shown(file.name) for file in used])
        image = Reading(size, channels, self.crop, levels)
        dataset = _describe(plan, cache, native, image, names, flip=self.flip, mark=mark)
        items = _items(plan, used, cache)
        cut = [split for split in SPLITS[1:] if split not in listing.files and dataset.counts[split]]
        paged = sum(frame.pages > 1 for frame in frames)
        alike = _alike(dataset.mean) and _alike(dataset.std)
        return dataset, [
            *summary.of_layout(listing, cut),
            *summary.of_groups(items),
            *unread,
            *summary.of_classes(items, plan.classes, listing.empty),
            *(summary.of_values(levels, channels, paged, alike=alike) if self.levels is None else ()),
            *summary.of_looks(items),
            *summary.of_duplicates(items),
        ]

    def _channels(self, frames: list[Frame]) -> int:
        """Of all images: one or three, or as many as most have where these are others."""
        commonest = Counter(frame.channels for frame in frames).most_common(1)[0][0]
        if commonest in (1, 3):
            return 1 if self.grey else 3
        if self.grey:
            raise DataError(f"{self.root}: these images have {commonest} channels, of which no grey is made: no `grey`")
        return commonest


def _levels_of(cache: Cache) -> Levels:
    try:
        return Levels.from_json(cache.survey)
    except ValueError as error:
        where = cache.images_path.parent
        raise DataError(f"{where}: the image cache has {error}; remove it, and it is made anew") from None


def _plan_folder(name: str, listing: Listing, division: Division) -> Plan:
    files = [file for members in listing.files.values() for file in members]
    ends = np.cumsum([len(members) for members in listing.files.values()])
    given = {
        split: np.arange(end - len(members), end)
        for (split, members), end in zip(listing.files.items(), ends, strict=True)
    }
    labels = np.concatenate([np.repeat(np.arange(len(each)), each) for each in listing.counts.values()])
    groups = division.groups_of(name, [file.name for file in files])
    return divide(Plan(name, listing.classes, labels, given, groups), division)


def _items(plan: Plan, used: list[ImageFile], cache: Cache) -> Items:
    good = np.flatnonzero(cache.state == READ)
    sizes = [len(plan.splits[split]) for split in SPLITS]
    return Items(
        names=np.array([used[row].name for row in good], dtype=object),
        labels=plan.labels[plan.used][good],
        splits=np.repeat(np.arange(len(SPLITS)), sizes)[good],
        digests=cache.digests[good],
        spans=cache.spans[good],
        groups=None if plan.groups is None else plan.groups[plan.used][good],
    )


def _frames(root: Path, files: list[ImageFile], crop: str) -> list[Frame]:
    """Of up to SAMPLED_SIZES files, evenly spaced. Raises DataError where none of them can be read."""
    frames, reason = [], ""
    for file in files[:: max(1, len(files) // SAMPLED_SIZES)]:
        try:
            _check_size(file)
            frames.append(frame_of(file.path, crop))
        except OSError:
            continue
        except UnreadableError as error:
            reason = reason or f" ({file.name}: {error.reason.words})"
    if not frames:
        raise DataError(f"{root}: no readable images{reason}")
    return frames


def _key(root: Path, used: list[ImageFile], square: tuple[int | str, ...]) -> str:
    """The cache's name: a cheap key that changes when a file, the choice of files or their decoding does."""
    told = [DECODING, *square, str(root.resolve()), [(file.name, file.size, file.mtime) for file in used]]
    return hashlib.sha256(json.dumps(told).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class _Reading:
    """Files on their way into a cache. failed: why a row could not be read this time, as a file that may not be."""

    files: list[ImageFile]
    crop: str
    channels: int
    levels: Levels | None
    failed: dict[int, str]

    def survey(self) -> str:
        """The levels of the data set, from all files whose pixels leave them open, unless they are given."""
        if self.levels is not None:
            return self.levels.to_json()
        with ThreadPoolExecutor(usable_cores()) as pool:
            return Levels.of(pool.map(self._look, self.files, chunksize=64)).to_json()

    def _look(self, file: ImageFile) -> Seen:
        try:
            _check_size(file)
            with file.path.open("rb") as content:
                return look(content, self.channels)
        except (UnreadableError, OSError, MemoryError):
            return Seen()  # reading it again will say why

    def reader(self, size: int) -> Reader:
        levels_of = cache(Levels.from_json)  # the same text for every row

        def read(row: int, survey: str) -> Row:
            try:
                data = _read(self.files[row])
                image = decode_square(data, size, levels_of(survey), self.crop, channels=self.channels)
                return Row(READ, image, _digest(data))
            except UnreadableError as error:
                return Row(error.reason)
            except (OSError, MemoryError) as error:
                self.failed[row] = (getattr(error, "strerror", None) or "no memory left for it").lower()
                return Row(PENDING)

        return read


def _read(file: ImageFile) -> bytes:
    _check_size(file)
    return file.path.read_bytes()


def _check_size(file: ImageFile) -> None:
    """Raise UnreadableError for a file not to be opened: some of the system's say that they are empty and never end."""
    if file.size == 0:
        raise UnreadableError(Reason.EMPTY)
    if file.size > MOST_BYTES:
        raise UnreadableError(Reason.TOO_LARGE)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def _check_unread(
    plan: Plan, used: list[ImageFile], cache: Cache, failed: Mapping[int, str], max_bad_share: float
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


def _describe(
    plan: Plan, cache: Cache, native: int, reading: Reading, names: NDArray[np.str_], *, flip: bool, mark: str
) -> Dataset:
    """Write the splits beside the images and sum everything up. names: of the files, by row of the cache; mark: what
    the pixels depend on beside the files."""
    good = cache.state == READ
    arrays: dict[str, NDArray[Any]] = {}
    content = hashlib.sha256(json.dumps(plan.classes).encode("utf-8", "surrogatepass") + mark.encode())
    start = 0
    for split in SPLITS:
        members = plan.splits[split]
        rows = start + np.flatnonzero(good[start : start + len(members)])
        labels = plan.labels[members][rows - start]
        start += len(members)
        if len(members) and not len(rows):
            raise DataError(f"{plan.name}: none of the {split} images can be read")
        arrays |= {f"{split}_rows": rows, f"{split}_labels": labels, f"{split}_names": names[rows]}
        content.update(split.encode() + labels.astype("<i8").tobytes() + cache.digests[rows].tobytes())
    fingerprint = content.hexdigest()[:16]
    splits_path = cache.images_path.with_name(f"splits-{fingerprint}.npz")
    _write_arrays(splits_path, arrays)
    mean, std = _statistics(cache, arrays["train_rows"][:SAMPLED_STATISTICS])
    return Dataset(
        name=plan.name,
        classes=plan.classes,
        native_size=native,
        size=reading.size,
        channels=reading.channels,
        counts={split: len(arrays[f"{split}_rows"]) for split in SPLITS},
        fingerprint=fingerprint,
        mean=mean,
        std=std,
        flip=flip,
        images_path=cache.images_path,
        splits_path=splits_path,
        crop=reading.crop,
        levels=reading.levels,
    )


def _alike(of_channels: tuple[float, ...]) -> bool:
    """Whether the channels have one value, as those of grey images do."""
    return max(of_channels) - min(of_channels) < 1e-9


def _write_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write the arrays, unless the file holds just these: one that is damaged is written anew."""
    if _holds(path, arrays):
        return
    try:
        with replacing(path, durable=False) as draft, draft.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from None


def _holds(path: Path, arrays: dict[str, NDArray[Any]]) -> bool:
    try:
        if not path.is_file():  # a pipe would be waited for
            return False
        with np.load(path, allow_pickle=False) as found:
            return set(found.files) == set(arrays) and all(np.array_equal(found[name], arrays[name]) for name in arrays)
    except Exception:  # whatever numpy and zipfile make of a damaged file
        return False


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
