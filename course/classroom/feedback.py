"""What a student gets back: one page of HTML that needs nothing else, with pictures where they say more."""

import base64
import html
import io

import numpy as np
from PIL import Image

from image_utils.writing import whole_file

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{name}: {score:g} points</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; width: 100% }}
td {{ border-top: 1px solid #ddd; padding: .5rem; vertical-align: top }}
td:first-child {{ width: 5.5rem; text-align: right; white-space: nowrap }}
.lost td:first-child {{ color: #b00020; font-weight: 600 }}
p {{ margin: .25rem 0; white-space: pre-wrap }} p, h1 {{ overflow-wrap: anywhere }}
figure {{ display: inline-block; margin: .5rem 1rem 0 0 }}
img {{ width: 14rem; image-rendering: pixelated; border: 1px solid #ddd }}
</style>
<h1>{name}</h1><p>{score:g} of {most:g} points</p><p>{note}</p>
<table>
{rows}
</table></html>
"""
ROW = '<tr class="{kind}"><td>{score:g} / {most:g}</td><td>{name}<p>{message}</p>{pictures}</td></tr>'
FIGURE = '<figure><img alt="{title}" src="data:image/png;base64,{data}"><figcaption>{title}</figcaption></figure>'


def save_page(name, record, pictures, path):
    """Write a student's page.

    Args:
        name: of the submission.
        record: dict as `Results.as_dict` gives.
        pictures: dict from a check's name to dict from title to ndarray (H, W) or (H, W, 3), any range of values.
        path: where.
    """
    rows = [
        ROW.format(
            kind="lost" if test["score"] < test["max_score"] else "full",
            score=test["score"],
            most=test["max_score"],
            name=html.escape(test["name"]),
            message=html.escape(test["output"]),
            pictures="".join(
                FIGURE.format(title=html.escape(title), data=_png(array))
                for title, array in pictures.get(test["name"], {}).items()
            ),
        )
        for test in record["tests"]
    ]
    most, note = sum(test["max_score"] for test in record["tests"]), html.escape(record["output"])
    page = PAGE.format(name=html.escape(name), score=record["score"], most=most, note=note, rows="\n".join(rows))
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _png(array):
    """Draw an array, black its smallest value and white its largest; returns base64 text."""
    array = np.nan_to_num(np.asarray(array, np.float64))
    low, high = array.min(), array.max()
    pixels = np.uint8(np.round(255 * (array - low) / (high - low if high > low else 1.0)))
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()
