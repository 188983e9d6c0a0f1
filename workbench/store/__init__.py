"""The record in SQLite: schema, migrations, typed reads and writes. No SQL stands outside this room."""

from workbench.store.record import Record, connect

__all__ = ["Record", "connect"]
