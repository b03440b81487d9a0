"""What `--resolution` means for images of a size: where nobody chooses, and among what a search does."""

from __future__ import annotations

import pytest

from experiments.run.naming import Resolutions, resolve_resolution


@pytest.mark.parametrize(
    ("text", "native", "expected"),
    [("auto", 32, Resolutions(22, (32, 24, 16))), ("auto", 256, Resolutions(180, (224, 168, 112))),
     ("auto", 500, Resolutions(224, (224, 168, 112))),  # photographs have the headroom
     ("max:48", 500, Resolutions(48, (48, 36, 24))), ("max:48", 32, Resolutions(22, (32, 24, 16))),
     ("48", 500, Resolutions(48, (48,)))],
)  # fmt: skip
def test_resolutions_leave_headroom_where_nobody_chooses(text: str, native: int, expected: Resolutions) -> None:
    assert resolve_resolution(text, native) == expected
