"""compare_maps.py as a person runs it."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import compare_maps
from tests.scripts import assert_refused, call

FILES = [
    "compare_maps.png",
    "compare_maps_table.csv",
    "compare_maps_table.json",
    "compare_maps_table.png",
    "compare_maps_weights.png",
]


def table(folder):
    return json.loads((folder / "compare_maps_table.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Fewer steps; the full settings are for people."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_maps, "SETTINGS", {"steps": 3, "masks": 5, "samples": 1})
        patch.setattr(compare_maps, "MOSAICS", 1)
        patch.setattr(compare_maps, "STAGES", 1)
        yield


BARS = []  # those of the last run, in the order in which they were made


class Bar(compare_maps.tqdm):
    """A progress bar that counts without being seen."""

    def __init__(self, *, total, **options):
        super().__init__(total=total, **options)
        self.wanted, self.reached = total, 0
        BARS.append(self)

    def update(self, n=1):
        self.reached += n


def run(folder, *arguments):
    """Run the script; its progress must end where it said."""
    BARS.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_maps, "tqdm", Bar)
        assert call("compare_maps", *arguments, "--device", "cpu", "--out", folder)[:2] == (0, "")
    assert [bar.reached for bar in BARS] == [bar.wanted for bar in BARS] and len(BARS) == 2
    return table(folder)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    run(folder, "--num", 1, "--methods", "saliency", "gradcam")
    return folder


def test_writes_figures_and_tables(written):
    assert sorted(file.name for file in written.iterdir()) == FILES
    for name in FILES:
        if name.endswith(".png"):
            with Image.open(written / name) as figure:
                assert min(figure.size) > 100 and np.asarray(figure.convert("L"), float).std() > 5


def test_the_tables_say_the_same(written):
    record = table(written)
    with (written / "compare_maps_table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["method"] for line in lines] == [row["name"] for row in record["methods"]]
    for line, row in zip(lines, record["methods"], strict=True):
        assert line["sentence"] == row["sentence"]
        for measure, numbers in row["measures"].items():
            assert (line[f"{measure} mean"] or None) == (
                numbers["mean"] if numbers["mean"] is None else str(numbers["mean"])
            )


def test_controls_stand_beside_the_methods_and_numbers_are_what_they_must_be(written):
    rows = {row["name"]: row for row in table(written)["methods"]}
    assert list(rows) == ["saliency", "gradcam", "random order", "edges", "centred Gaussian"]
    assert [row["control"] for row in rows.values()] == [False, False, True, True, True]
    for name in ("edges", "centred Gaussian"):
        for measure in ("class", "upper", "weights"):
            assert rows[name]["measures"][measure]["mean"] == pytest.approx(1)
    assert rows["centred Gaussian"]["measures"]["grid"]["mean"] == pytest.approx(0.25)
    assert rows["saliency"]["measures"]["deletion"]["low"] is None  # one photograph has no interval
    assert "too few photographs to tell in deletion" in rows["saliency"]["sentence"]


def test_passes_are_counted_and_shared(written):
    """One photograph, two methods, three controls.

    Deletion and insertion: 2 ends and 2 images between for each of 5 maps; mu-fidelity: 5 masks and the image,
    once; the mosaic's 20 candidates and the runner-up. The rest are maps: of each method for the photograph, its
    runner-up, two random networks, one draw of noise, the mosaic's 4 cells; the strip's two are among these.
    """
    passes = table(written)["passes"]
    maps = 2 * (1 + 1 + 2 + 1 + 4)
    assert passes["forward"] == 2 * (2 + 2 * 5) + 6 + 20 + 1 + maps
    assert passes["with a backward pass"] == maps


def test_same_seed_same_numbers(written, tmp_path):
    again = run(tmp_path, "--num", 1, "--methods", "saliency", "gradcam")
    for one, other in zip(table(written)["methods"], again["methods"], strict=True):
        assert one["measures"] == other["measures"]


def test_own_photographs_of_two_sizes_without_a_mosaic(tmp_path):
    y, x = np.mgrid[0:64, 0:96]
    picture = Image.fromarray(np.stack([x * 2, y * 3, 255 - x], axis=2).astype(np.uint8))
    picture.save(tmp_path / "a.png")
    picture.rotate(90, expand=True).save(tmp_path / "b.png")
    record = run(tmp_path / "out", "--images", tmp_path / "a.png", tmp_path / "b.png", "--methods", "gradcam")
    assert "grid" not in record["measures"] and "Without the grid game" in record["notes"][0]


def test_fewer_mosaics_than_wanted_end_the_progress_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(compare_maps, "MOSAICS", 9)  # of which the samples make four at most
    assert "grid" in run(tmp_path, "--num", 1, "--methods", "gradcam")["measures"]


def test_a_method_that_cannot_be_computed_is_missing_and_said_to_be(tmp_path):
    network = ("--network", "efficientnet_b0", "--weights", "random")
    record = run(tmp_path, "--num", 1, *network, "--methods", "saliency", "guided_backprop")
    assert "guided_backprop" not in [row["name"] for row in record["methods"]]
    assert "guided_backprop is missing" in record["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--methods", "salency"], "integrated_gradients"),
        (["--methods"], "--methods"),
        (["--num", "0"], "--num"),
        (["--layer", "features.99"], "features.9"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, word):
    assert_refused("compare_maps", *arguments, "--out", tmp_path / "out", word=word)
    assert not (tmp_path / "out").exists()
