"""JSON is read to a stated depth, and what is none is told in one line."""

from __future__ import annotations

import json

import pytest

from search_spaces.json_text import DEEPEST, parse_json


@pytest.mark.parametrize("opening", ["[", '{"a": '])
def test_the_depth_that_is_read_is_the_one_that_is_stated(opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    inner = DEEPEST - 1
    text = opening * inner + opening[0] + closing * (inner + 1)
    assert parse_json(text) == json.loads(text)
    for deep in (opening + text + closing, opening * 900 + "1" + closing * 900, opening * 100_000):
        with pytest.raises(ValueError, match=f"nested too deeply: at most {DEEPEST} levels"):
            parse_json(deep)


def test_many_lists_beside_one_another_are_not_deep() -> None:
    text = json.dumps({"a": [[1, [2]]] * 5000, "b": "[" * 500})
    assert parse_json(text.encode()) == parse_json(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "not JSON: Expecting value at column 1"), ('{"a":\n 1 2}', "not JSON: .* at line 2, column 4"),
     (b'{"a": "\xff"}', "not JSON: .*codec"), ("9" * 5000, "not JSON: .*digits")],
)  # fmt: skip
def test_what_is_no_json_says_where(text: str | bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told) as raised:
        parse_json(text)
    assert "\n" not in str(raised.value)
