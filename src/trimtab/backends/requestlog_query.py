"""Questions to the request log, answered by DuckDB over what pyarrow has read.

It is imported when somebody asks, for DuckDB and datasets are large and rarely needed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from trimtab import errors
from trimtab.backends import requestlog_files as files
from trimtab.domain.records import FIXED_COLUMNS, Comparison, Told

_CHECKED = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)

Views = Mapping[str, Sequence[pa.Table | list[str]]]
"""By name of a view, its tables, and the paths of Parquet files that have one schema."""


def query(views: Views, sql: str, deployment: str) -> pa.Table:
    """The answer of `sql`. Raises `Usage` TT-802 when DuckDB refuses the statement."""
    with _connected(views) as connection:
        try:
            return _answer(connection.sql(sql))
        except duckdb.Error as cause:
            raise errors.Usage(errors.LOG_FAILED, "query", deployment, str(cause)) from cause


def stumbled(problem: Exception) -> bool:
    """Whether a question may have failed on what it was asked of, and not on how it was put."""
    cause = problem.__cause__ if isinstance(problem, errors.Usage) else problem
    told = isinstance(cause, duckdb.InvalidInputException | duckdb.IOException)
    return told or not isinstance(cause, duckdb.Error)


def labelled(views: Views, key: str | None, until: float) -> pa.Table:
    """Final answers with their newest label known by `until`; `key` is the business key."""
    with _connected(views, f"{files.INPUT}{key}") as connection:
        columns = connection.view("rows").columns
        inputs = [name for name in columns if name.startswith(files.INPUT)]
        return _answer(connection.sql(_labelled_sql(inputs), params={"until": until}))


@dataclass(frozen=True, slots=True)
class Matches:
    """Answers with what was told of them, each once, as a parity segment; and what became of all
    rows."""

    pairs: pa.Table
    comparison: Comparison


def matches(views: Views, key: str | None, told: Told, within: float) -> Matches:
    """The answers that were not compared before; `key` is the business key."""
    with _connected({**views, "told": [_named(told)]}, f"{files.INPUT}{key}") as connection:
        columns = connection.view("rows").columns
        served = [name for name in told.values if files.INPUT + name in columns]
        sql = _matches_sql({name: _kind(told, name) for name in served})
        found = _answer(connection.sql(sql, params={"within": within}))
    return _matched(found, told)


@contextmanager
def _connected(views: Views, key: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that sees the views and can open no file. With the name of a key's column, rows
    have it as `key_text` besides, as labels write it."""
    with duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_external_access": "false",
        }
    ) as connection:
        for name, sources in views.items():
            _view(connection, name, sources, key if name == "rows" else None)
        connection.execute("SET lock_configuration = true")
        yield connection


def _view(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    sources: Sequence[pa.Table | list[str]],
    key: str | None,
) -> None:
    """Rows of all schemas under one name; a column that a release lacks is null.

    Keys become texts before that: numbers of one release and texts of another would be texts."""
    parts: list[str] = []
    for number, source in enumerate(sources):
        found = ds.dataset(source, format=_CHECKED) if isinstance(source, list) else source
        connection.register(f"{name}_{number}", found)
        more = "" if key is None else f", {_key_text(found.schema, key)} AS key_text"
        parts.append(f"SELECT *{more} FROM {name}_{number}")
    connection.execute(f"CREATE VIEW {name} AS {' UNION ALL BY NAME '.join(parts)}")


def _answer(relation: duckdb.DuckDBPyRelation | None) -> pa.Table:
    """The rows of a statement; one that answers nothing (SET, CREATE) is an empty table."""
    return relation.to_arrow_table() if relation is not None else pa.table({})


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _labelled_sql(inputs: list[str]) -> str:
    """SQL of the join; a label by id and one by key for the same row: the newer one counts."""
    columns = "".join(
        f"a.{_quoted(name)} AS {_quoted(name.removeprefix(files.INPUT))}, " for name in inputs
    )
    label = 'CASE WHEN i."at" IS NULL OR k."at" > i."at" THEN k.label ELSE i.label END'
    return f"""
        WITH answers AS (
            SELECT * FROM rows WHERE final AND outcome = 'ok' AND event_time <= $until
            QUALIFY row_number() OVER (PARTITION BY request_id, "row" ORDER BY received_at) = 1
        ), known AS (SELECT * FROM labels WHERE "at" <= $until),
        by_id AS (
            SELECT * FROM known WHERE request_id IS NOT NULL AND request_id <> ''
            QUALIFY row_number() OVER (
                PARTITION BY request_id, "row" ORDER BY "at" DESC, received_at DESC
            ) = 1
        ), by_key AS (
            SELECT * FROM known WHERE "key" IS NOT NULL AND "key" <> '' QUALIFY
            row_number() OVER (PARTITION BY "key" ORDER BY "at" DESC, received_at DESC) = 1
        )
        SELECT {columns}
            {label} AS label,
            a.event_time, a.request_id, a."row"
        FROM answers a
        LEFT JOIN by_id i ON i.request_id = a.request_id AND i."row" = a."row"
        LEFT JOIN by_key k ON k."key" = a.key_text
        WHERE {label} IS NOT NULL
        ORDER BY a.event_time, a.request_id, a."row"
    """


def _key_text(schema: pa.Schema, key: str) -> str:
    """A key as labels write it: whole numbers without a fraction, however large they are."""
    if key not in schema.names:
        return "CAST(NULL AS VARCHAR)"
    column = _quoted(key)
    text = f"CAST({column} AS VARCHAR)"
    if not pa.types.is_floating(schema.field(key).type):
        return text
    whole = f"CAST(TRY_CAST({column} AS HUGEINT) AS VARCHAR)"
    return f"CASE WHEN {column} = floor({column}) THEN coalesce({whole}, {text}) ELSE {text} END"


def _named(told: Told) -> pa.Table:
    """Which answer each told row is about, and its place among them."""
    return pa.table(
        {
            "place": pa.array(range(len(told)), pa.int64()),
            "request_id": pa.array(told.request_id, pa.string()),
            "row": pa.array(told.row, pa.int32()),
            "key": pa.array(told.key, pa.string()),
            "at": pa.array(told.at, pa.float64(), from_pandas=True),
        }
    )


def _kind(told: Told, name: str) -> str:
    return "DOUBLE" if told.values[name].dtype == np.float64 else "VARCHAR"


def _matches_sql(served: Mapping[str, str]) -> str:
    """SQL of the join; `served` are the SQL types of the inputs that are compared.

    Of several answers to one request the first received counts; of several answers of a key the
    nearest in time, and none where no time was told.
    """
    fixed = ", ".join(_quoted(name) for name, _ in FIXED_COLUMNS)
    inputs = "".join(
        f", TRY_CAST({_quoted(files.INPUT + name)} AS {kind}) AS {_quoted(files.INPUT + name)}"
        for name, kind in served.items()
    )
    near = 't."at" IS NULL OR abs(a.event_time - t."at") <= $within'
    return f"""
        WITH answers AS (
            SELECT {fixed}{inputs}, key_text
            FROM rows WHERE final AND outcome = 'ok'
        ), named AS (
            SELECT t.place, t."at" AS told_at, a.* FROM told t JOIN answers a
            ON t.request_id = a.request_id AND t."row" = a."row" WHERE {near}
            UNION ALL
            SELECT t.place, t."at" AS told_at, a.* FROM told t JOIN answers a
            ON t."key" = a.key_text WHERE {near}
        ), meant AS (
            SELECT * FROM named
            QUALIFY row_number() OVER (
                PARTITION BY place ORDER BY abs(event_time - told_at), received_at
            ) = 1 AND (
                told_at IS NOT NULL OR 1 = count(DISTINCT (request_id, "row"))
                OVER (PARTITION BY place)
            )
        ), first AS (
            SELECT *, row_number() OVER (PARTITION BY request_id, "row" ORDER BY place) = 1
            AND (request_id, "row") NOT IN (SELECT (request_id, "row") FROM parity) AS fresh
            FROM meant
        )
        SELECT * EXCLUDE (key_text, told_at) FROM first ORDER BY place
    """


def _matched(found: pa.Table, told: Told) -> Matches:
    fresh = found.filter(found.column("fresh"))
    places = fresh.column("place").to_numpy()
    pairs = fresh.drop_columns(["place", "fresh"])
    for name in told.values:
        if files.INPUT + name in pairs.column_names:
            kind = pa.float64() if told.values[name].dtype == np.float64 else pa.string()
            values = pa.array(told.values[name][places], kind, from_pandas=True)
            pairs = pairs.append_column(files.TOLD + name, values)
    compared, all_of_them = fresh.num_rows, found.num_rows
    return Matches(pairs, Comparison(compared, all_of_them - compared, len(told) - all_of_them))
