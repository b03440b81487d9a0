"""Data and assets put together to one HTML file that needs nothing else and asks for nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any

_SCRIPTS = tuple(
    f"{name}.js"
    for name in ("basics", "names", "chart", "table", "architecture", "frontier", "search", "growth", "page")
)
_STYLES = ("page.css",)


def render(data: Mapping[str, Any]) -> str:
    """The page of `data`, which must be JSON but for numbers that are not finite; those become null.

    All texts of `data` reach the page as a JSON block and are inserted as text, never as markup; a content security
    policy forbids any request and any script but the page's own.
    """
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    style = "\n".join(_asset(name) for name in _STYLES)
    policy = f"default-src 'none'; img-src data:; script-src '{_hash(script)}'; style-src '{_hash(style)}'"
    title = html.escape(" ".join(str(data["title"]).split()))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f'<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<main id="page"></main>\n'
        "<noscript>This page draws itself with JavaScript, all of which is in this file.</noscript>\n"
        f'<script type="application/json" id="data">{embed(data)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def embed(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element it stands in: ASCII alone, with <, > and & escaped."""
    text = json.dumps(_finite(data), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


def _asset(name: str) -> str:
    return (resources.files("experiments.report") / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
