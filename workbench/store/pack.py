"""One zip file that carries rows and job folders to another machine, and takes them in there safely.

manifest.json        format, record version, SHA-256 and size of every other member (written last)
rows/<table>.jsonl   rows without row ids; with `--parquet` rows/<table>.parquet for the tables that grow (BULK)
jobs/<id>/…          what the jobs of the runs have made
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import re
import shutil
import sqlite3
import stat
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from workbench import __version__
from workbench.errors import UserError
from workbench.home import Home, make_folder, open_private
from workbench.store import migrations
from workbench.store.carry import (
    TABLES,
    RowDict,
    Selection,
    checker,
    closure,
    column_types,
    count_out,
    rows_in,
    rows_out,
)
from workbench.store.cooling import settle
from workbench.store.parquet import read_parquet, write_parquet
from workbench.store.progress import Told, telling, untold
from workbench.store.record import Record
from workbench.text import clean_line

FORMAT = 1
_STATE_FILES = {"lock", "launch.lock", "heartbeat", "stop", "process.json", "launched.json", ".reserve", "server.json",
                "token", "live.json"}  # fmt: skip
"""What says how a job is faring on this machine: means nothing on another one."""
_HEAVY = {"checkpoints"}
_STORED = {".safetensors", ".gguf", ".zst", ".gz", ".png"}
_MEMBER = re.compile(r"jobs/([0-9a-f]{8,64})/([^\\\0]+)")
_OWN = "workbench."
_KIND = re.compile(r"[a-z][a-z0-9_-]*")
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, KeyError, NotImplementedError, RuntimeError,
           ValueError, OverflowError, struct.error, sqlite3.IntegrityError)  # fmt: skip
"""What reading a damaged zip may raise, and what taking in rows whose partners it has lost."""
_LONGEST_LINE = 64 << 20
BULK = ("scenarios", "dialogues", "conversations", "messages", "verdicts", "measures", "calls")
"""Tables of which there is a row or more for every dialogue or conversation."""
_CHUNK = 1 << 20


_ROWS = {f"rows/{table}.jsonl" for table in TABLES} | {f"rows/{table}.parquet" for table in BULK}


@dataclass(frozen=True, slots=True)
class Carried:
    """What a pack holds, or what of it was taken in: rows by table, job folders by id, bytes of the file."""

    rows: dict[str, int]
    jobs: tuple[str, ...]
    bytes: int
    kept: tuple[str, ...] = ()
    """Job folders that were here already and stayed as they were."""


def pack(
    rec: Record,
    home: Home,
    out: Path,
    wanted: Selection,
    *,
    busy: Callable[[str], bool],
    checkpoints: bool = False,
    parquet: bool = False,
    told: Told = untold,
) -> Carried:
    """Write `wanted` (everything, if empty) to the zip file `out` (0600), which appears only when it is whole.

    `busy(job id)` says whether a job still runs: such folders are refused with a UserError. `checkpoints` takes along
    what resuming an unfinished training needs; the best and the last model are always included. `parquet` writes the rows
    of the tables in BULK as Parquet files, which other programs read too. `told` hears how many rows are written.
    """
    members: dict[str, dict[str, object]] = {}
    counts: dict[str, int] = {}
    part = out.with_name(out.name + ".part")
    try:
        handle = os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with (
            open(handle, "wb") as raw,
            zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as zip_,
        ):
            with rec.snapshot():
                chosen = closure(rec, wanted)
                folders = [
                    home.jobs / job for job in sorted(chosen["jobs"]) if (home.jobs / job / "job.json").is_file()
                ]
                for folder in folders:
                    if busy(folder.name):
                        raise UserError(f"job {folder.name} still runs: wait for it or stop it before packing")
                total = sum(count_out(rec, table, chosen) for table in TABLES)
                for table in TABLES:
                    rows = telling(rows_out(rec, table, chosen), told, sum(counts.values()), total)
                    if parquet and table in BULK:
                        counts[table] = _add_parquet(zip_, members, column_types(rec, table), table, rows, out.parent)
                    else:
                        counts[table] = _add_rows(zip_, members, table, rows)
            for folder in folders:
                _add_folder(zip_, members, folder, checkpoints)
            zip_.writestr("manifest.json", json.dumps(_manifest(members), indent=1, sort_keys=True))
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return Carried(counts, tuple(folder.name for folder in folders), out.stat().st_size)


def unpack(rec: Record, home: Home, file: Path, *, cold: bool = False, told: Told = untold) -> Carried:
    """Take in a file made by `pack`: job folders that are missing here, then all rows in one transaction.

    May be repeated. Nothing outside the jobs folder is written, links and odd names are refused, every member is
    checked against its hash, and a command stored in a job is dropped. With `cold` the messages of a pack in Parquet stay
    outside SQLite, as a file under `cold/`. `told` hears how many rows are taken in. Raises UserError for anything suspicious.
    """
    if not file.is_file():
        raise UserError(f"no file {clean_line(str(file))}")
    try:
        with zipfile.ZipFile(file) as zip_:
            members = _checked_manifest(zip_, file, home)
            jobs = sorted({match[1] for name in members if (match := _MEMBER.fullmatch(name))})
            kept = tuple(job for job in jobs if (home.jobs / job).exists())
            brought = tuple(job for job in jobs if job not in kept)
            with tempfile.TemporaryDirectory(prefix=".unpack-", dir=home.jobs) as waiting:
                _extract_folders(zip_, members, Path(waiting), brought)
                if cold:
                    _lay_out(zip_, members, rec, Path(waiting), file, told)
                counts = rows_in(rec, _source(zip_, members, Path(waiting), ("messages",) if cold else (), told))
                for job in brought:
                    (Path(waiting) / job).rename(home.jobs / job)
                if cold:
                    settle(Path(waiting) / "messages", home)
    except _BROKEN as error:
        raise UserError(f"{clean_line(str(file))} is no pack or is damaged ({clean_line(str(error), 80)})") from error
    return Carried(counts, brought, file.stat().st_size, kept)


def _manifest(members: dict[str, dict[str, object]]) -> dict[str, object]:
    return {
        "format": FORMAT,
        "record": len(migrations.scripts()),
        "workbench": __version__,
        "created": time.time(),
        "members": members,
    }


def _add_rows(zip_: zipfile.ZipFile, members: dict[str, dict[str, object]], table: str, rows: Iterable[RowDict]) -> int:
    name, count, seen = f"rows/{table}.jsonl", 0, hashlib.sha256()
    size = 0
    with zip_.open(name, "w", force_zip64=True) as out:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
            out.write(line)
            seen.update(line)
            size += len(line)
            count += 1
    members[name] = {"sha256": seen.hexdigest(), "size": size, "rows": count}
    return count


def _add_parquet(
    zip_: zipfile.ZipFile,
    members: dict[str, dict[str, object]],
    columns: Mapping[str, str],
    table: str,
    rows: Iterable[RowDict],
    aside: Path,
) -> int:
    name = f"rows/{table}.parquet"
    with tempfile.TemporaryDirectory(prefix=".pack-", dir=aside) as folder:
        file = Path(folder) / "rows"
        count = write_parquet(file, columns, rows)
        with file.open("rb") as source, zip_.open(zipfile.ZipInfo(name), "w", force_zip64=True) as out:
            digest, size = _copy(source, out)
    members[name] = {"sha256": digest, "size": size, "rows": count}
    return count


def _lay_out(
    zip_: zipfile.ZipFile, members: dict[str, dict[str, Any]], rec: Record, waiting: Path, file: Path, told: Told
) -> None:
    """Bring the pack's messages out and look at each, as at every row that is taken in."""
    name = "rows/messages.parquet"
    if name not in members:
        raise UserError(
            f"{clean_line(str(file))} holds no Parquet: make it with `workbench pack --parquet`, or leave out --cold"
        )
    _extract(zip_, name, members[name]["sha256"], waiting / "messages")
    check = checker(rec, "messages")
    for row in telling(read_parquet(waiting / "messages"), told, 0, members[name]["rows"]):
        check(row)


def _add_folder(zip_: zipfile.ZipFile, members: dict[str, dict[str, object]], folder: Path, checkpoints: bool) -> None:
    for file in _files(folder, checkpoints):
        name = f"jobs/{folder.name}/{file.relative_to(folder).as_posix()}"
        info = zipfile.ZipInfo.from_file(file, name, strict_timestamps=False)
        info.compress_type = zipfile.ZIP_STORED if file.suffix in _STORED else zipfile.ZIP_DEFLATED
        with file.open("rb") as source, zip_.open(info, "w", force_zip64=True) as out:
            digest, size = _copy(source, out)
        members[name] = {"sha256": digest, "size": size}


def _files(folder: Path, checkpoints: bool) -> Iterator[Path]:
    for parent, names, files in os.walk(folder):
        top = Path(parent) == folder
        names[:] = sorted(n for n in names if not n.startswith(".") and (checkpoints or not (top and n in _HEAVY)))
        for name in sorted(files):
            file = Path(parent) / name
            skipped = top and (name in _STATE_FILES or name.endswith((".part", ".exit")))
            if not skipped and stat.S_ISREG(file.lstat().st_mode):
                yield file


def _copy(source: IO[bytes], out: IO[bytes]) -> tuple[str, int]:
    seen, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        out.write(chunk)
        seen.update(chunk)
        size += len(chunk)
    return seen.hexdigest(), size


def _checked_manifest(zip_: zipfile.ZipFile, file: Path, home: Home) -> dict[str, dict[str, Any]]:
    """The manifest's members; UserError unless every member of the zip is one, is harmless, and there is room for all."""
    shown = clean_line(str(file))
    info = zip_.getinfo("manifest.json")
    if info.file_size > _LONGEST_LINE:
        raise UserError(f"{shown} is no pack: its manifest is too long")
    try:
        manifest = json.loads(zip_.read(info))
        members = {
            str(k): {"sha256": str(v["sha256"]), "size": int(v["size"]), "rows": int(v.get("rows") or 0)}
            for k, v in manifest["members"].items()
        }
        versions = (int(manifest["format"]), int(manifest["record"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{shown} is no pack: its manifest cannot be read") from error
    if versions[0] != FORMAT or versions[1] > len(migrations.scripts()):
        made = clean_line(str(manifest.get("workbench")), 20)
        raise UserError(
            f"{shown} was made by workbench {made}, this is {__version__}: take it in with that or a newer one"
        )
    if len(zip_.namelist()) != len(set(zip_.namelist())):
        raise UserError(f"{shown} is refused: two of its members have the same name")
    for entry in zip_.infolist():
        if entry.filename != "manifest.json":
            _refuse_odd_member(entry, members, shown)
    total = sum(entry.file_size for entry in zip_.infolist())
    if total > shutil.disk_usage(home.make().root).free:
        raise UserError(f"{shown} needs {total / 1e9:.1f} GB, more than is free on the disk of {home.root}")
    return members


def _refuse_odd_member(entry: zipfile.ZipInfo, members: dict[str, dict[str, Any]], shown: str) -> None:
    name = entry.filename
    match = _MEMBER.fullmatch(name)
    parts = PurePosixPath(name).parts
    odd = (
        name not in members
        or members[name]["size"] != entry.file_size
        or stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG)
        or any(part in ("", ".", "..") or part.startswith(".unpack") for part in parts)
        or PurePosixPath(*parts).as_posix() != name
        or (name not in _ROWS and match is None)
        or (match is not None and match[2] in _STATE_FILES)
    )
    if odd:
        raise UserError(f'{shown} is refused: its member "{clean_line(name, 80)}" should not be there')


def _extract_folders(
    zip_: zipfile.ZipFile, members: dict[str, dict[str, Any]], waiting: Path, jobs: tuple[str, ...]
) -> None:
    """Extract the folders of `jobs` into `waiting`, each member checked against its hash."""
    for name in members:
        match = _MEMBER.fullmatch(name)
        if match and match[1] in jobs:
            _extract(zip_, name, members[name]["sha256"], waiting / match[1] / match[2])
    for job in jobs:
        _disarm(waiting / job)


def _extract(zip_: zipfile.ZipFile, name: str, sha256: str, target: Path) -> None:
    make_folder(target.parent)
    handle = open_private(target, os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW)
    with open(handle, "wb") as out, zip_.open(name) as source:
        found, _ = _copy(source, out)
    if found != sha256:
        raise UserError(f'the member "{clean_line(name, 80)}" is damaged (its hash differs): copy the file again')


def _disarm(folder: Path) -> None:
    """A job from elsewhere may be resumed here, but must not bring a command of its own."""
    file = folder / "job.json"
    try:
        job = json.loads(file.read_text("utf-8"))
        kind, args = job["kind"], job["args"]
        probe = args.get("probe") or _OWN
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"the pack's job {folder.name} has no readable job.json") from error
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise UserError(f'the pack\'s job {folder.name} is refused: "{clean_line(str(kind), 60)}" is no kind of job')
    if not str(probe).startswith(_OWN):
        raise UserError(
            f'the pack\'s job {folder.name} is refused: it names code of its own, "{clean_line(str(probe), 60)}"'
        )
    file.write_text(json.dumps({**job, "command": None, "cwd": ""}, sort_keys=True, indent=1), "utf-8")


def _source(
    zip_: zipfile.ZipFile, members: dict[str, dict[str, Any]], waiting: Path, left_out: tuple[str, ...], told: Told
) -> Callable[[str], Iterable[RowDict]]:
    """The pack's rows, a table at a time, while `told` hears how many of all there have been."""
    rows = {PurePosixPath(name).stem: entry["rows"] for name, entry in members.items() if name in _ROWS}
    done, total = 0, sum(count for table, count in rows.items() if table not in left_out)

    def source(table: str) -> Iterable[RowDict]:
        nonlocal done
        if table in left_out:
            return ()
        before, done = done, done + rows.get(table, 0)
        return telling(_read_rows(zip_, members, table, waiting), told, before, total)

    return source


def _read_rows(
    zip_: zipfile.ZipFile, members: dict[str, dict[str, Any]], table: str, waiting: Path
) -> Iterator[RowDict]:
    name = f"rows/{table}.parquet"
    if name in members:
        file = waiting / f"rows-{table}"
        _extract(zip_, name, members[name]["sha256"], file)
        yield from read_parquet(file)
        file.unlink()
        return
    name = f"rows/{table}.jsonl"
    if name not in members:
        return
    seen = hashlib.sha256()
    with zip_.open(name) as source:
        while line := source.readline(_LONGEST_LINE):
            seen.update(line)
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"{name} of the pack is damaged") from error
            if not isinstance(row, dict):
                raise UserError(f"{name} of the pack is damaged")
            yield row
    if seen.hexdigest() != members[name]["sha256"]:
        raise UserError(f"{name} of the pack is damaged (its hash differs): copy the file again")
