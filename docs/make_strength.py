"""Paint README's row of the strength dial: python -m docs.make_strength; five pictures by VGG-19, some minutes."""

import subprocess
import sys
import tempfile
from pathlib import Path

from docs.make_gallery import ROOT, save, side_by_side
from image_utils.loading import open_image

STRENGTHS = (1, 3, 5, 7, 9)
PAIR = ("--content", "styles_images/tubingen.jpg", "--style", "data/paintings/hokusai_great_wave.jpg")
HOW = ("--network", "vgg19", "--size", "256", "--style-size", "256", "--steps", "50", "--quiet")


def main():
    """Paint at each strength, and join the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        for strength in STRENGTHS:
            dial = ("--strength", str(strength), "--name", f"dial_{strength}", "--out", folder)
            subprocess.run([sys.executable, "style_transfer.py", *PAIR, *HOW, *dial], cwd=ROOT, check=True)
        save(joined(Path(folder)), "strength")


def joined(folder):
    """Lay the pictures of a folder side by side, from the photograph to all style: a PIL image."""
    return side_by_side([open_image(folder / f"dial_{strength}.png") for strength in STRENGTHS])


if __name__ == "__main__":
    main()
