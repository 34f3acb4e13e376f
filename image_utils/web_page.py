"""One look for the pages of figures written here: plain HTML, images beside it, nothing from elsewhere."""

import html
from pathlib import Path

from image_utils.writing import whole_file

STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 90em; padding: 0 1em; color: #222 }
table { border-collapse: collapse } th { text-align: left; position: sticky; top: 0; background: #fff }
td, th { padding: .3em .6em; vertical-align: top; border-bottom: 1px solid #ddd }
td img { width: 168px; height: 168px; display: block } .path { overflow-wrap: anywhere; max-width: 18em }
figure { margin: 0 0 2.5em } figure img { max-width: 100%; display: block }
figcaption { max-width: 60em; margin: .4em 0 }
code { background: #f2f2f2; padding: .1em .3em } code, h1 { overflow-wrap: anywhere }
.error { color: #a00 } .other { color: #777 }
"""


def write_page(path: str | Path, title: str, body: str) -> None:
    """Write a page.

    Args:
        path: the file, ending in .html.
        title: plain text, also the heading.
        body: HTML below the heading.

    Raises:
        InputError: the file cannot be written.
    """
    title = html.escape(title)
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>{STYLE}</style>
<h1>{title}</h1>
{body}
</html>
"""
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
