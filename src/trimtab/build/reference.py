"""Reading reference data and telling which columns are inputs."""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from trimtab import errors
from trimtab.build.arrays import (
    DATATYPES,
    bad_reference,
    is_tensor,
    table_of,
    tensor_column,
    tensor_values,
)
from trimtab.build.dialect import SUFFIXES, UTF8, dialect
from trimtab.build.listing import listing
from trimtab.build.memory import Array, absent, floats, viewed
from trimtab.build.request import ReferenceData
from trimtab.domain.names import Digest, repeated
from trimtab.domain.plurals import some
from trimtab.domain.release import DataManifest
from trimtab.domain.signature import Column, Datatype
from trimtab.judge.own_loss import OwnLoss
from trimtab.stats.summary import summary

MOST_CATEGORIES = 256

if TYPE_CHECKING:
    Chunked: TypeAlias = pa.ChunkedArray[Any]
else:
    Chunked = pa.ChunkedArray  # not subscriptable at run time


@dataclass(frozen=True, slots=True)
class Reference:
    """Reference rows split by meaning. `inputs` are float64 or object arrays by column name, and
    [rows, …] in the column's own datatype for tensors; `labels` are texts or None; `times` are
    epoch seconds or NaN."""

    columns: tuple[Column, ...]
    inputs: dict[str, NDArray[Any]]
    labels: NDArray[np.object_] | None
    times: NDArray[np.float64] | None
    segments: tuple[str, ...]
    manifest: DataManifest
    groups: tuple[str, ...] = ()
    loss: OwnLoss | None = None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.manifest.rows


def read_reference(data: ReferenceData) -> Reference:
    """Read a Parquet or CSV file. Raises `Usage` TT-205 or TT-210 when it cannot be used."""
    table = read_table(data.path)
    if table.num_rows == 0:
        raise bad_reference(data.path, "it holds no rows")
    if "" in table.column_names:
        problem = "a column has no name, as the index that pandas writes"
        raise bad_reference(data.path, f"{problem}; write it with index=False")
    meant = [data.target, data.time, data.key]
    for name in [*meant, *data.segments, *data.groups]:
        if name is not None and name not in table.column_names:
            raise bad_reference(
                data.path, f"it has no column {name!r}; it has {table.column_names}"
            )
    inputs = [name for name in table.column_names if name not in meant]
    arrays: dict[str, NDArray[Any]] = {}
    columns: list[Column] = []
    for name in inputs:
        values = table.column(name)
        if is_tensor(values.type):
            arrays[name] = tensor_values(name, values, data.path)
            columns.append(tensor_column(name, arrays[name]))
        else:
            columns.append(_column(name, values, data.path))
            arrays[name] = _values(columns[-1], values)
    times = _read(data, table, data.time, _TIMES) if data.time else None
    if times is not None and np.isnan(times).all():
        raise bad_reference(data.path, f"every time in {data.time!r} is missing")
    return Reference(
        tuple(columns),
        arrays,
        _read(data, table, data.target, _LABELS) if data.target else None,
        times,
        data.segments,
        _manifest(data, table),
        _groups(data, columns),
        data.loss,
    )


def _groups(data: ReferenceData, columns: list[Column]) -> tuple[str, ...]:
    """The protected columns. Raises `Usage` TT-205 for one that is no input of the release."""
    inputs = {column.name for column in columns if not column.shape}
    for name in data.groups:
        if name not in inputs:
            raise bad_reference(
                data.path, f"column {name!r} is no input of one value a row, so no group has it"
            )
    return data.groups


def watched(reference: Reference, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Some rows of the inputs as the request log has them: tensors by their summary."""
    found: dict[str, NDArray[Any]] = {}
    for column in reference.columns:
        values = reference.inputs[column.name][rows]
        if column.shape:
            told = summary(values.reshape(len(values), -1))
            found.update(zip(column.summary, told, strict=True))
        else:
            found[column.name] = values
    return found


def read_table(path: Path) -> pa.Table:
    """A Parquet, CSV or npz file, by its suffix."""
    if not path.is_file():
        raise errors.Usage(
            errors.MISSING_FILE,
            "read data",
            str(path),
            "there is no such file",
            hint=listing(path),
        )
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            return _without_twins(pyarrow.parquet.read_table(path))
        if path.suffix.lower() in SUFFIXES:
            return _without_twins(_read_csv(path))
        if path.suffix.lower() == ".npz":
            return _read_npz(path)
    except (pa.ArrowInvalid, OSError, ValueError, zipfile.BadZipFile) as cause:
        told = str(cause).partition("\n")[0].rstrip(".")
        raise bad_reference(path, f"it cannot be read as a table: {told}") from cause
    raise bad_reference(
        path, f"files ending in {path.suffix!r} are not known; use .parquet, .csv or .npz"
    )


def _read_csv(path: Path) -> pa.Table:
    """Empty fields are missing, as pandas reads them: in it the model was most likely fitted."""
    spoken = dialect(path)
    missing = pyarrow.csv.ConvertOptions(strings_can_be_null=True, decimal_point=spoken.decimal)
    table = pyarrow.csv.read_csv(str(path), parse_options=spoken.parsing(), convert_options=missing)
    for field in table.schema:
        if pa.types.is_binary(field.type):
            raise ValueError(f"column {field.name!r} holds texts that are not UTF-8; {UTF8}")
    return table


def _without_twins(table: pa.Table) -> pa.Table:
    if twice := repeated(table.column_names):
        raise ValueError(f"several columns are named {some(twice)}")
    return table


def _read_npz(path: Path) -> pa.Table:
    # numpy leaves a file open that it opened itself and cannot read.
    with path.open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            raise ValueError("one array without a name")
        return table_of(arrays)


def texts(values: Chunked) -> NDArray[np.object_]:
    """Labels or categories as text: numbers in their shortest form (`1`, not `1.0`)."""
    # One object for each text: what is made and compared later is made and compared once.
    coded = spelled(values).dictionary_encode()
    names = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    gone, places = absent(coded.indices), viewed(coded.indices)
    return names.take(places if gone is None else np.where(gone, -1, places))


def spelled(values: Chunked) -> Array:
    """The same as an array of Arrow."""
    array: Any = values.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):
        whole = pc.cast(array, pa.int64(), safe=False)
        if pc.all(pc.equal(pc.cast(whole, array.type, safe=False), array)).as_py() is not False:
            array = whole
    return pc.cast(array, pa.string())


def epoch_seconds(values: Chunked) -> NDArray[np.float64]:
    """Times as epoch seconds; text is read as ISO 8601, times without a zone as UTC."""
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = _moments(values)
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        # Unsafe, for pandas and many logs write nanoseconds that seconds as float64 cannot hold.
        values = pc.cast(pc.cast(values, pa.timestamp("us"), safe=False), pa.int64())
        return floats(values.combine_chunks()) / 1e6
    return floats(_as_floats(values).combine_chunks())


def _moments(texts: Chunked) -> Chunked:
    """Arrow reads a text either only with a zone, or only without one."""
    zoned: Any = pc.match_substring_regex(texts, r":.*(Z|[+-]\d\d(:?\d\d)?)$")
    exact: Any = pc.cast(pc.if_else(zoned, texts, None), pa.timestamp("us", tz="UTC"))
    other: Any = pc.cast(pc.if_else(zoned, None, texts), pa.timestamp("us"))
    found: Chunked = pc.coalesce(exact.cast(pa.timestamp("us")), other)
    return found


def _column(name: str, values: Chunked, path: Path) -> Column:
    kind = values.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_decimal(kind):
        kind = pa.float64()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return Column(
            name, Datatype.BYTES, nullable=values.null_count > 0, categories=_categories(values)
        )
    datatype = DATATYPES.get(kind)
    if datatype is None:
        problem = f"column {name!r} is of type {kind}; inputs are numbers, booleans or texts"
        if pa.types.is_temporal(kind):
            problem += f"; if it says when a row was, give --time {name} (time in trimtab.toml)"
        elif pa.types.is_null(kind):
            problem = f"column {name!r} holds no value at all, so that its type is not known"
        problem += "; if the model does not need it, write the file without it"
        raise bad_reference(path, problem)
    numbers = _as_floats(values).to_numpy(zero_copy_only=False)
    finite = numbers[np.isfinite(numbers)]
    return Column(
        name,
        datatype,
        nullable=bool(np.isnan(numbers).any()),
        minimum=float(finite.min()) if finite.size else None,
        maximum=float(finite.max()) if finite.size else None,
    )


def _categories(values: Chunked) -> tuple[str, ...]:
    names, counts = np.unique([v for v in texts(values) if v is not None], return_counts=True)
    order = np.lexsort((names, -counts))[:MOST_CATEGORIES]
    return tuple(str(names[index]) for index in order)


def _values(column: Column, values: Chunked) -> NDArray[Any]:
    if column.datatype is Datatype.BYTES:
        return texts(values)
    return _as_floats(values).to_numpy(zero_copy_only=False)


def _as_floats(values: Chunked) -> Chunked:
    """Numbers as float64, which rounds whole numbers beyond 2⁵³, such as ids of 64 bits."""
    return pc.cast(values, pa.float64(), safe=False)


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a column is read for. `wanted` says to people what it may hold."""

    read: Callable[[Chunked], NDArray[Any] | None]
    wanted: str


def _labels(values: Chunked) -> NDArray[np.object_] | None:
    """None for lists: several values at once are no label that quality could be told from."""
    return None if is_tensor(values.type) else texts(values)


_LABELS = _Meaning(_labels, "a label is a text, a number or a truth value")
_TIMES = _Meaning(epoch_seconds, "a time is a timestamp, a date, ISO 8601 or epoch seconds")


def _read(
    data: ReferenceData, table: pa.Table, name: str, meaning: _Meaning
) -> NDArray[Any] | None:
    """A column that is no input. Raises `Usage` TT-205 when it holds something else."""
    values = table.column(name)
    try:
        return meaning.read(values)
    except pa.ArrowException as cause:
        problem = f"column {name!r} is of type {values.type} and cannot be read: {meaning.wanted}"
        raise bad_reference(data.path, problem) from cause


def _manifest(data: ReferenceData, table: pa.Table) -> DataManifest:
    since = until = None
    if data.time:
        times = table.column(data.time)
        since, until = str(pc.min(times).as_py()), str(pc.max(times).as_py())
    return DataManifest(
        data.path.name,
        Digest(f"sha256:{hashlib.sha256(data.path.read_bytes()).hexdigest()}"),
        table.num_rows,
        tuple(table.column_names),
        since,
        until,
    )
