"""What a run leaves in its folder, and how it is read.

    run.json              what determines the result; a resume must agree with it
    files.lst             the files, in order (`explain.listing`)
    maps/NNNNNNN.arrow    the maps of a shard: Arrow IPC, a column a method, a record batch an image, zstd
    overlays/NNNNNNN/     pictures of the maps, II-METHOD.jpg, II being the image's place in the shard
    manifest.parquet      a row for each image and method
    index/, index.html    the first hundred images
    parts/                while running: the manifest's rows of each finished shard

A shard is finished when its part lies in parts/, which is written last. Every file is moved into place whole.
"""

import contextlib
from pathlib import Path

import numpy as np

from image_utils.errors import InputError
from image_utils.writing import whole_file

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import compute, ipc
except ImportError:
    raise InputError("the package pyarrow is not installed; pip install -r requirements-ray.txt") from None

MANIFEST = "manifest.parquet"
ROW_GROUP = 65_536  # rows of the manifest
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("label", pa.int32()),
        ("name", pa.string()),
        ("top5", pa.list_(pa.int32())),
        ("top5_names", pa.list_(pa.string())),
        ("top5_probabilities", pa.list_(pa.float32())),
        ("method", pa.string()),
        ("shard", pa.string()),
        ("row", pa.int32()),
        ("overlay", pa.string()),
        ("blank", pa.string()),
        ("seconds", pa.float32()),
        ("error", pa.string()),
    ]
)


def maps_name(number):
    """Return the file of a shard's maps, relative to the run's folder."""
    return f"maps/{number:07d}.arrow"


def overlay_name(number, place, method):
    """Return the file of an overlay, relative to the run's folder."""
    return f"overlays/{number:07d}/{place:02d}-{method}.jpg"


def part_file(out, number):
    """Return the file that holds the manifest's rows of a shard, and says by being there that it is finished."""
    return Path(out) / "parts" / f"{number:07d}.parquet"


class MapsWriter:
    """Writes the maps of one shard, image by image; the file appears when all are in.

    with MapsWriter(out, number) as writer:
        row = writer.add(path, {"saliency": array})
    """

    def __init__(self, out, number):
        self.file = Path(out) / maps_name(number)
        self.rows = 0
        self.writer = None
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        self.stack.__enter__()
        return self

    def __exit__(self, *problem):
        return self.stack.__exit__(*problem)

    def add(self, path, maps):
        """Append an image's maps, a dict from method to float32 ndarray; returns their row."""
        tensors = [_tensor(each) for each in maps.values()]
        if self.writer is None:
            self._open(pa.schema([("path", pa.string()), *zip(maps, (t.type for t in tensors), strict=True)]))
        # No image at all makes no file; from Python's own file object a full disk raises Python's own error.
        self.writer.write_batch(pa.record_batch([pa.array([path]), *tensors], schema=self.writer_schema))
        self.rows += 1
        return self.rows - 1

    def _open(self, schema):
        temporary = self.stack.enter_context(whole_file(self.file))
        sink = self.stack.enter_context(temporary.open("wb"))
        options = ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1), use_threads=False)
        self.writer_schema = schema
        self.writer = self.stack.enter_context(ipc.new_file(sink, schema, options=options))


def _tensor(array):
    """Return an array as a column of one row."""
    kind = pa.fixed_shape_tensor(pa.from_numpy_dtype(array.dtype), array.shape)
    flat = pa.array(np.ascontiguousarray(array).reshape(-1))
    return pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(flat, array.size))


def write_part(out, number, rows, place="here"):
    """Write the manifest's rows of a shard, and with them the length of its maps' file; the shard is finished.

    Args:
        out: the run's folder.
        number: of the shard.
        rows: list of dicts from SCHEMA's names to values, and further ones, the same in all, to numbers.
        place: who did it, noted beside the rows.
    """
    maps = Path(out) / maps_name(number)
    length = maps.stat().st_size if any(row["shard"] for row in rows) else 0
    further = [(name, pa.float64()) for name in rows[0] if name not in SCHEMA.names]
    schema = pa.schema([*SCHEMA, *further], {"bytes": str(length), "place": place})
    table = pa.Table.from_pylist(rows, schema=schema)
    with whole_file(part_file(out, number)) as temporary:
        pq.write_table(table, temporary)


def finished(out, number, paths):
    """Look whether a shard is finished.

    Args:
        out: the run's folder.
        number: of the shard.
        paths: the texts of its files' paths; a part about others is not this shard's.

    Returns:
        The number of its files and of those with an error, or None if it must be done (again).
    """
    try:
        part = pq.read_table(part_file(out, number), columns=["path", "shard", "error"])
        maps = Path(out) / maps_name(number)
        length = maps.stat().st_size if any(part["shard"].to_pylist()) else 0
    except (OSError, pa.ArrowException):
        return None
    paths = list(paths)
    same = list(dict.fromkeys(part["path"].to_pylist())) == list(dict.fromkeys(paths))
    if not same or int(part.schema.metadata[b"bytes"]) != length:
        return None
    broken = part.filter(part["error"].is_valid())
    return len(paths), len(broken["path"].unique())


def assemble(out, numbers):
    """Join the parts of shards, in order, to the manifest, which is made where there is none.

    Args:
        out: the run's folder.
        numbers: of the shards that the manifest lacks, in order.

    Raises:
        InputError: the manifest cannot be written.
    """
    waiting, rows = [], 0
    schema = pq.read_schema(part_file(out, numbers[0])).remove_metadata()
    with (
        whole_file(Path(out) / MANIFEST) as temporary,
        temporary.open("wb") as sink,
        pq.ParquetWriter(sink, schema) as writer,
    ):
        if (Path(out) / MANIFEST).exists():
            with _manifest(out) as before:
                for i in range(before.num_row_groups):
                    writer.write_table(before.read_row_group(i))
        for number in numbers:
            waiting.append(pq.read_table(part_file(out, number)).replace_schema_metadata())
            rows += len(waiting[-1])
            if rows >= ROW_GROUP or number == numbers[-1]:
                writer.write_table(pa.concat_tables(waiting), row_group_size=rows)
                waiting, rows = [], 0


@contextlib.contextmanager
def _manifest(out):
    """Open the manifest; whatever is wrong with it becomes an InputError that says what to do."""
    file = Path(out) / MANIFEST
    try:
        with pq.ParquetFile(file) as manifest:
            yield manifest
    except (OSError, pa.ArrowException) as problem:
        raise InputError(
            f"'{file}' is damaged ({str(problem).splitlines()[0]}); explain the folder again in another --out"
        ) from None


def read_manifest(out, **options):
    """Read the manifest, or what is there of an unfinished run.

    Args:
        out: folder of a run.
        **options: those of `pyarrow.parquet.read_table`, such as columns and filters.

    Returns:
        pyarrow.Table; its `to_pandas()` is a data frame where pandas is installed.

    Raises:
        InputError: the folder holds no run, or the manifest is damaged.
    """
    if (Path(out) / MANIFEST).is_file():
        with _manifest(out):
            return pq.read_table(Path(out) / MANIFEST, **options)
    parts = sorted((Path(out) / "parts").glob("[0-9]*.parquet"))
    if not parts:
        raise InputError(f"'{out}' holds no manifest; python -m explain FOLDER --out '{out}' makes one")
    return pa.concat_tables(pq.read_table(part, **options).replace_schema_metadata() for part in parts)


def read(out, path, method):
    """Read one map.

    Args:
        out: folder of a run.
        path: of the image, as in the manifest: relative to the folder that was explained.
        method: one of those that the run was asked for.

    Returns:
        float32 ndarray (224, 224), but (224, 224, 3) for guided_backprop and guided_gradcam.

    Raises:
        InputError: no such image, method or map; the image could not be explained; a file is missing or damaged.
    """
    wanted = [("path", "==", str(path)), ("method", "==", method)]
    found = read_manifest(out, columns=["shard", "row", "error"], filters=wanted).to_pylist()
    if not found:
        raise InputError(f"'{out}' has no {method} of '{path}'")
    if found[0]["shard"] is None:
        raise InputError(f"'{path}': {found[0]['error'] or 'its maps were not saved (--save overlays)'}")
    return read_row(Path(out) / found[0]["shard"], found[0]["row"], method)


def read_row(file, row, method):
    """Read the map in a row of a shard, by what the manifest's columns shard and row say."""
    try:
        with pa.memory_map(str(file)) as source:
            column = ipc.open_file(source).schema.get_field_index(method)
            reader = ipc.open_file(source, options=ipc.IpcReadOptions(included_fields=[column]))
            return reader.get_batch(row).column(0).to_numpy_ndarray()[0].copy()
    except (OSError, pa.ArrowException) as problem:
        raise InputError(f"the maps in '{file}' cannot be read: {str(problem).splitlines()[0]}") from None


def count_images(out, names):
    """Return how many images the manifest has, a row each for some names; 0 where there is none."""
    if not (Path(out) / MANIFEST).exists():
        return 0
    with _manifest(out) as manifest:
        return manifest.metadata.num_rows // len(names)


def count_errors(out):
    """Return how many images of the manifest have an error."""
    with _manifest(out):
        broken = ~compute.field("error").is_null()
        return len(pq.read_table(Path(out) / MANIFEST, columns=["path"], filters=broken)["path"].unique())


def first_rows(out, number):
    """Return the manifest's first rows as dicts, however long it is."""
    with _manifest(out) as manifest:
        for batch in manifest.iter_batches(batch_size=number):
            return batch.to_pylist()
    return []
