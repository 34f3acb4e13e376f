"""Pandoc, which reads Markdown and notebooks, and its documents: trees of {"t": kind, "c": content}."""

import json

import pypandoc

from image_utils.errors import InputError


def parse(markdown, name):
    """Parse Markdown into Pandoc's document, a dict.

    Raises:
        InputError: Pandoc cannot read it.
    """
    return json.loads(convert(markdown, "markdown", "json", name))


def convert(text, source, target, name, **kwargs):
    """Convert a text between Pandoc's formats.

    Args:
        text: the document.
        source: its format.
        target: the format wanted.
        name: what to call the document in messages.
        **kwargs: further arguments of `pypandoc.convert_text`.

    Raises:
        InputError: Pandoc cannot read it.
    """
    try:
        return pypandoc.convert_text(text, target, format=source, **kwargs)
    except RuntimeError as problem:
        reason = " ".join(line.strip() for line in str(problem).splitlines()[1:] if line.strip())
        raise InputError(f"'{name}' cannot be read: {reason or problem}") from None


def nodes(tree):
    """Yield every node of a document or a part of it, outer ones first."""
    if isinstance(tree, list):
        for part in tree:
            yield from nodes(part)
    elif isinstance(tree, dict):
        if "t" in tree:
            yield tree
        for part in tree.values():
            yield from nodes(part)


def words(tree):
    """Count words; formulas, blocks of code and comments do not count."""
    return sum(any(c.isalnum() for c in node["c"]) for node in nodes(tree) if node["t"] == "Str")


def plain(tree):
    """Join the text of a document's part: str without markup."""
    text = ""
    for node in nodes(tree):
        if node["t"] in ("Space", "SoftBreak", "LineBreak"):
            text += " "
        elif node["t"] == "Str":
            text += node["c"]
        elif node["t"] in ("Code", "Math"):
            text += node["c"][1]
    return text.strip()
