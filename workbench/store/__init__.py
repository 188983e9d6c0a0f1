"""SQLite, the record: schema, migrations, typed reads and writes."""
