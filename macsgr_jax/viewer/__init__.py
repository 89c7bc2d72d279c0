"""Renders predicted conversations as one HTML page that contains its style, its script and its data."""

import base64
import hashlib
import json
import re
from importlib import resources
from typing import Any

# Inside a script element only "<" can end the data; the others are for parsers that know less about HTML.
HARMLESS = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


def render_page(data: dict[str, Any]) -> str:
    """Renders the page of some conversations; the same data give the same page.

    The page's policy allows the style and the script inside it, by their digests, and no connection at all.

    Args:
        data: the data that page.js draws: `emotions` and `relations` are names; `conversations` is a list of `name`,
            `speakers` and `utterances`, in which emotions, labels, speakers and other utterances are indices.

    Returns:
        HTML.
    """
    files = resources.files(__name__)
    style, script, page = (
        files.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js", "page.html")
    )
    parts = {
        "policy": f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}; base-uri 'none';"
        " form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        "style": style,
        "script": script,
        "data": embed_json(data),
    }
    # In one pass, so that an utterance that says {{script}} stays what it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], page)


def embed_json(values: Any) -> str:
    """Returns JSON that cannot end the script element around it: ASCII alone, without "<", ">" and "&"."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":"))
    return text.translate(HARMLESS)


def digest(content: str) -> str:
    """Returns what a content security policy calls a style or a script by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
