"""Paint README's example of --mask: python -m docs.make_regions; one picture by VGG-19, some minutes.

The masks are drawn here by hand: sky and lake, palace, trees in the photograph; sky, houses, plants in the
painting.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

from docs.make_gallery import FIGURES, GAP, ROOT, save, side_by_side
from image_utils.loading import open_image
from image_utils.writing import save_image

SKY, BUILDING, PLANTS = "white", "gray", "black"
PHOTOGRAPH, PAINTING = (
    "data/photographs/summer_palace.jpg",
    "data/paintings/van_gogh_village_street_in_auvers.jpg",
)
HOW = ("--network", "vgg19", "--size", "256", "--style-size", "256", "--steps", "50", "--strength", "6", "--quiet")
# For each picture what covers it, then polygons on top of one another; x and y in thousandths of the sides.
REGIONS = {
    PHOTOGRAPH: (
        SKY,
        (
            PLANTS,
            "0,320 40,430 112,515 112,590 64,630 0,645 0,690 96,770 120,805 225,800 265,845 330,890 465,985 "
            "520,920 545,840 580,785 640,750 705,695 800,645 864,645 856,490 912,370 945,320 1000,335 "
            "1000,1000 0,1000",
        ),
        (
            BUILDING,
            "305,70 320,65 336,75 340,120 360,165 420,240 500,290 495,320 452,325 452,365 515,400 510,440 "
            "497,445 500,550 548,600 545,630 530,645 535,720 552,765 580,790 545,840 520,920 465,985 330,890 "
            "265,845 225,800 112,805 125,755 125,660 104,645 104,610 155,550 155,445 132,425 136,395 180,370 "
            "184,325 155,305 150,260 240,205 300,130",
        ),
    ),
    PAINTING: (
        PLANTS,
        (
            SKY,
            "0,0 1000,0 1000,280 915,375 870,385 810,320 735,275 675,300 670,335 585,340 570,430 510,395 "
            "490,280 405,250 365,190 345,195 345,240 250,300 245,320 205,335 200,180 155,165 130,190 120,280 "
            "60,170 0,195",
        ),
        (
            BUILDING,
            "250,300 345,240 345,195 365,195 370,240 405,250 490,280 515,395 600,440 650,560 680,590 890,410 "
            "1000,280 1000,770 890,790 730,835 600,750 460,725 380,770 220,815 30,865 0,830 0,425 75,420 "
            "200,455",
        ),
    ),
}


def main():
    """Draw the masks, paint, and lay out sources, masks and result."""
    masks = [mask_of(file) for file in REGIONS]
    files = [FIGURES / f"regions_{name}.png" for name in ("photograph", "painting")]
    for mask, file in zip(masks, files, strict=True):
        save_image(mask, file)
    with tempfile.TemporaryDirectory() as folder:
        sources = ("--content", PHOTOGRAPH, "--style", PAINTING, "--mask", *map(str, files))
        to = ("--name", "regions", "--out", folder)
        subprocess.run([sys.executable, "style_transfer.py", *sources, *HOW, *to], cwd=ROOT, check=True)
        painted = open_image(Path(folder) / "regions.png")
    save(laid_out([open_image(ROOT / file) for file in REGIONS], masks, painted), "regions")


def laid_out(pictures: list[Image.Image], masks: list[Image.Image], painted: Image.Image) -> Image.Image:
    """Lay out a picture and its mask in each of two rows, and the result, PIL images, beside both."""
    height = (painted.height - GAP) // 2
    rows = [
        side_by_side([img.convert("RGB").resize((round(img.width * height / img.height), height)) for img in pair])
        for pair in zip(pictures, masks, strict=True)
    ]
    small = Image.new("RGB", (max(row.width for row in rows), painted.height), "white")
    for i, row in enumerate(rows):
        small.paste(row, (0, i * (height + GAP)))
    return side_by_side([small, painted])


def mask_of(file: str) -> Image.Image:
    """Draw the mask of a picture: PIL image of grey levels, of its size."""
    width, height = open_image(ROOT / file).size
    ground, *polygons = REGIONS[file]
    mask = Image.new("L", (width, height), ground)
    for level, corners in polygons:
        points = [tuple(map(int, corner.split(","))) for corner in corners.split()]
        ImageDraw.Draw(mask).polygon([(x * width / 1000, y * height / 1000) for x, y in points], fill=level)
    return mask


if __name__ == "__main__":
    main()
