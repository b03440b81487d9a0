"""The embedded default: scikit-learn's 1,797 scans of hand-written digits, 8x8 grey (UCI, Alpaydin and Kaynak 1998)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLASSES = tuple("0123456789")


def load_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (1797, 8, 8, 1) uint8, their 17 grey levels spread over 0..255, and labels (1797,) in 0..9."""
    from sklearn import datasets  # noqa: PLC0415  slow to import, and only this needs it

    bunch = datasets.load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return images[..., None], bunch.target.astype(np.int64)
