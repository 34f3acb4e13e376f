"""A page that shows the first hundred images: photograph, classes, maps."""

import html
from pathlib import Path

from explain import storage
from explain.worker import FIRST
from image_utils.web_page import write_page


def write_index(out, settings, count, rows_each):
    """Write index.html.

    Args:
        out: folder of a run whose manifest is there.
        settings: of the run, as in run.json.
        count: images of the run.
        rows_each: rows of the manifest for an image.
    """
    methods = settings["methods"]
    rows = storage.first_rows(out, FIRST * rows_each)
    images = [rows[i : i + len(methods)] for i in range(0, len(rows), rows_each)]
    head = "".join(f"<th>{html.escape(title)}</th>" for title in ("image", "classes", "photograph", *methods))
    body = "\n".join(_line(position, image) for position, image in enumerate(images))
    shown = f"The first {len(images)} of" if count > len(images) else "All"
    measured = '<p><img alt="method x measure" src="trust.png"></p>\n' if settings["trust"] else ""
    said = f"""<p>{shown} {count:,} images, explained for the class in bold by {html.escape(settings["network"])}.
What the network saw is shown: the centre of the image. The whole table is {storage.MANIFEST}.</p>
{measured}<table><tr>{head}</tr>
{body}
</table>"""
    write_page(Path(out) / "index.html", f"explain: {settings['folder']}", said)


def _line(position, image):
    first = image[0]
    path = f'<td class="path">{html.escape(first["path"])}</td>'
    if first["error"] is not None:
        return f'<tr>{path}<td class="error" colspan="{len(image) + 2}">{html.escape(first["error"])}</td></tr>'
    names = [(first["name"], "b", None)] if first["label"] not in first["top5"] else []
    top = zip(first["top5"], first["top5_names"], first["top5_probabilities"], strict=True)
    names += [(name, "b" if i == first["label"] else "span", chance) for i, name, chance in top]
    classes = "<br>".join(
        f"<{tag}>{html.escape(name)}</{tag}>" + (f' <span class="other">{chance:.0%}</span>' if chance else "")
        for name, tag, chance in names
    )
    pictures = "".join(
        f'<td><img loading="lazy" alt="" src="index/{position:03d}-{kind}.jpg"></td>'
        for kind in ("photo", *(row["method"] for row in image))
    )
    return f"<tr>{path}<td>{classes}</td>{pictures}</tr>"
