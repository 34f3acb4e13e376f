"""A folder that changes after a run was begun: what is new is explained, what is gone is named."""

import shutil

import pytest

pytest.importorskip("pyarrow")

from explain import read, storage
from explain.worker import Worker
from image_utils.errors import InputError
from tests.explain.commands import (
    assert_refused,
    assert_same_but_for_kinks,
    distance,
    explain,
    files,
    manifest,
    maps,
)
from tests.explain.folders import make_folder

COUNT, BROKEN = 12, 2
SMALL = ("--methods", "saliency,gradcam", "--batch-size", 4, "--shard-size", 4, "--device", "cpu", "--workers", 1)


@pytest.fixture
def folder(tmp_path):
    make_folder(tmp_path / "in", COUNT, broken=BROKEN)
    return tmp_path / "in"


@pytest.fixture
def shards_done(monkeypatch):
    """Numbers of the shards that were computed."""
    done, run = [], Worker.run

    def counted(self, shard, **options):
        done.append(shard.number)
        return run(self, shard, **options)

    monkeypatch.setattr(Worker, "run", counted)
    return done


def test_new_photographs_are_explained_and_the_others_are_left_alone(folder, tmp_path, shards_done):
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    assert explain(folder, "--out", out, *SMALL)[0] == 0
    before, rows = files(out), manifest(out)
    for i, photo in enumerate([p for p in sorted(folder.rglob("*.jpg")) if p.stat().st_size > 2000][:5]):
        shutil.copy(
            photo, photo.with_name(f"{'0' if i % 2 else 'z'}{i}.jpg")
        )  # some before, some behind the others
    (folder / "000.png").write_bytes(b"this is not a photograph")
    shards_done.clear()
    said = explain(folder, "--out", out, *SMALL)[2]
    assert said.startswith(
        f"explain: {COUNT + 6} images, {BROKEN + 1} with an error; {COUNT} done before; 6 now in "
    )
    assert shards_done == [3, 4]
    after = files(out)
    assert all(after[name] == before[name] for name in before if name.startswith(("maps/", "index/", "run.json")))
    assert manifest(out)[: len(rows)].equals(rows)
    assert not (out / "parts").exists()
    # A run of the folder as it is now has the same rows in another order, and the same maps but for their batches.
    assert explain(folder, "--out", fresh, *SMALL)[0] == 0
    columns = ["path", "method", "sha256", "label", "top5", "error"]
    order = [("path", "ascending"), ("method", "ascending")]
    assert manifest(out).select(columns).sort_by(order).equals(manifest(fresh).select(columns).sort_by(order))
    one, other = maps(out), maps(fresh)
    assert one.keys() == other.keys()
    assert_same_but_for_kinks([distance(one[key], other[key]) for key in one])
    assert (out / "index.html").read_text().count('class="error"') == BROKEN + 1
    said = explain(folder, "--out", out, *SMALL)[2]
    assert said == f"explain: {COUNT + 6} images, {BROKEN + 1} with an error; {COUNT + 6} done before\n"


def test_a_growing_run_that_is_interrupted_goes_on(folder, tmp_path, shards_done, monkeypatch):
    out, at_once = tmp_path / "out", tmp_path / "at_once"
    assert explain(folder, "--out", out, *SMALL)[0] == 0
    photo = next(p for p in sorted(folder.rglob("*.jpg")) if p.stat().st_size > 2000)
    for i in range(6):
        shutil.copy(photo, folder / f"new{i}.jpg")
    shutil.copytree(out, at_once)
    assert explain(folder, "--out", at_once, *SMALL)[0] == 0
    write_part = storage.write_part

    def interrupted(out, number, *rest):
        if number == 4:
            raise KeyboardInterrupt
        write_part(out, number, *rest)

    monkeypatch.setattr(storage, "write_part", interrupted)
    assert explain(folder, "--out", out, *SMALL)[0] == 130
    monkeypatch.setattr(storage, "write_part", write_part)
    assert manifest(out).num_rows == 2 * COUNT  # until the rest is there, the table says what it said
    shutil.copy(photo, folder / "newest.jpg")
    shards_done.clear()
    said = explain(folder, "--out", out, *SMALL)[2]
    assert f"{COUNT + 7} images" in said and f"{COUNT + 4} done before; 3 now" in said
    assert shards_done == [4, 5]
    (folder / "newest.jpg").rename(tmp_path / "newest.jpg")
    grown, whole = manifest(out), manifest(at_once)
    assert grown[: len(whole)].equals(whole) and len(grown) == len(whole) + 2


def test_a_photograph_that_is_gone_is_named(folder, tmp_path):
    out = tmp_path / "out"
    assert explain(folder, "--out", out, *SMALL)[0] == 0
    before = files(out)
    gone = sorted(folder.rglob("*.jpg"))[0]
    gone.rename(tmp_path / "elsewhere.jpg")
    assert_refused(folder, "--out", out, *SMALL, word="is no longer in")
    assert files(out) == before


def test_a_photograph_that_goes_during_a_run_is_a_row_with_an_error(folder, tmp_path, monkeypatch):
    gone = next(p for p in sorted(folder.rglob("*.jpg")) if p.stat().st_size > 2000)
    run = Worker.run

    def vanishing(self, shard, **options):
        gone.unlink(missing_ok=True)
        return run(self, shard, **options)

    monkeypatch.setattr(Worker, "run", vanishing)
    assert explain(folder, "--out", tmp_path / "out", *SMALL)[0] == 0
    (row, _) = [
        r for r in manifest(tmp_path / "out").to_pylist() if r["path"] == gone.relative_to(folder).as_posix()
    ]
    assert row["error"] == "the file cannot be read: No such file or directory"


def test_labels_from_an_edited_table_are_refused(folder, tmp_path):
    paths = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.jpg"))
    table = tmp_path / "labels.csv"
    table.write_text("".join(f"{path},tabby\n" for path in paths))
    arguments = (folder, "--out", tmp_path / "out", "--labels", table, *SMALL)
    assert explain(*arguments)[0] == 0
    table.write_text("".join(f"{path},gorilla\n" for path in paths))
    assert_refused(*arguments, word="another labels")


def test_damaged_results_are_named(folder, tmp_path):
    out = tmp_path / "out"
    assert explain(folder, "--out", out, *SMALL)[0] == 0
    row = next(r for r in manifest(out).to_pylist() if not r["error"])
    shard, content = out / row["shard"], (out / row["shard"]).read_bytes()
    shard.write_bytes(content[:1000])
    with pytest.raises(InputError, match=r"the maps in '.*arrow' cannot be read: "):
        read(out, row["path"], "gradcam")
    shard.unlink()
    with pytest.raises(InputError, match=r"the maps in '.*arrow' cannot be read: "):
        read(out, row["path"], "gradcam")
    table = out / "manifest.parquet"
    for content in (table.read_bytes()[:-100], b"PAR1", b""):
        table.write_bytes(content)
        assert_refused(folder, "--out", out, *SMALL, word="manifest.parquet' is damaged")
        with pytest.raises(InputError, match="is damaged"):
            read(out, row["path"], "gradcam")
