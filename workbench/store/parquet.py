"""Rows of a table in a Parquet file, as any other program reads it, and back again the same to the bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

ROW_GROUP = 2000
"""Rows that are compressed, and read again, together: looking a conversation up reads one or two such groups."""


def write_parquet(file: Path, columns: Mapping[str, str], rows: Iterable[Mapping[str, object]]) -> int:
    """Write rows with these columns (name → SQLite's declared type) in their order; returns how many. Memory of a group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"TEXT": pa.string(), "INTEGER": pa.int64(), "REAL": pa.float64(), "BOOLEAN": pa.bool_()}
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    count, source = 0, iter(rows)
    with pq.ParquetWriter(file, schema, compression="zstd") as out:
        while group := list(islice(source, ROW_GROUP)):
            out.write_table(pa.Table.from_pylist(group, schema), row_group_size=ROW_GROUP)
            count += len(group)
    return count


def read_parquet(file: Path) -> Iterator[dict[str, Any]]:
    """The rows, in order, with the memory of a group. Raises ValueError if it is no Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as source:
            for batch in source.iter_batches(ROW_GROUP):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"no Parquet file ({error})") from error
