"""What a user may set once for all: environment variables, and one TOML file for those that are not set.

The file is `config.toml` in the user's configuration folder (XDG: `~/.config/workbench/`), or what WORKBENCH_CONFIG names.
Whoever needs a setting reads its variable: `apply` has put the file's values there, and jobs inherit them. Keys for
services are no settings; they stand in the environment only and are refused in the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from workbench.errors import UserError
from workbench.text import clean_line

FILE_VARIABLE = "WORKBENCH_CONFIG"
KEYMAP = "keys"
"""The one table of the file: action id → keys, as Textual names them."""

Value = str | int | float | bool
Keymap = Mapping[str, str]
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name in the file, its variable, its type, what it means, and the values it may have (any if none)."""

    name: str
    variable: str
    type: type[str] | type[int] | type[float] | type[bool]
    meaning: str
    choices: tuple[str, ...] = ()


SETTINGS = (
    Setting("home", "WORKBENCH_HOME", str, "the folder that holds runs/, unless --home says so (else the current one)"),
    Setting("reviewer", "WORKBENCH_REVIEWER", str, "the name on your reviews (else the login)"),
    Setting(
        "theme", "WORKBENCH_THEME", str, "colours of the app: workbench-dark, workbench-light, or one of Textual's"
    ),
    Setting("ascii", "WORKBENCH_ASCII", bool, "borders and drawings of the app in ASCII"),
    Setting(
        "slow_link", "WORKBENCH_SLOW_LINK", str, "draw less: auto goes by the line's round trip", ("auto", "on", "off")
    ),
    Setting("launcher", "WORKBENCH_LAUNCHER", str, "the command that starts jobs elsewhere (srun, sbatch)"),
    Setting("threads", "WORKBENCH_THREADS", int, "processor threads of the local server"),
    Setting("vllm_args", "WORKBENCH_VLLM_ARGS", str, "more words for vLLM's command line"),
    Setting("llama_args", "WORKBENCH_LLAMA_ARGS", str, "more words for llama-server's command line"),
    Setting("local_price", "WORKBENCH_LOCAL_PRICE", str, "what a local model costs: paper-a100, or dollars an hour"),
)


@dataclass(frozen=True, slots=True)
class Config:
    """What the file says: `values` by setting, and the keymap. Empty where there is no file."""

    file: Path
    values: Mapping[str, Value]
    keymap: Keymap


def config_file() -> Path:
    """Where the file is, or would be."""
    if chosen := os.environ.get(FILE_VARIABLE):
        return Path(chosen).expanduser()
    return platformdirs.user_config_path("workbench") / "config.toml"


def read_config(file: Path | None = None) -> Config:
    """The file's values. Raises UserError with file:line for what is unknown, of the wrong type or no TOML."""
    file = file or config_file()
    try:
        with file.open("rb") as source:
            raw = source.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise UserError(f"{file}: over {_MOST_BYTES} bytes is no config file")
        text = raw.decode("utf-8")
    except FileNotFoundError:
        return Config(file, {}, {})
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 text; save it as UTF-8") from error
    data = _parsed(file, text)
    known = {setting.name: setting for setting in SETTINGS}
    values: dict[str, Value] = {}
    for name, value in data.items():
        if name == KEYMAP:
            continue
        if name not in known:
            raise UserError(
                f'{_place(file, text, name)}: unknown setting "{clean_line(name, 60)}"; known: {", ".join([*known, KEYMAP])}'
            )
        values[name] = _checked(known[name], value, _place(file, text, name))
    return Config(file, values, _keymap(data.get(KEYMAP, {}), file, text))


def _parsed(file: Path, text: str) -> dict[str, object]:
    import tomllib  # most starts have no file to read

    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{file}: {clean_line(str(error), 200)}") from error


def apply(config: Config, environment: MutableMapping[str, str] = os.environ) -> None:
    """Put the file's values where they are read, except those that the environment already sets."""
    for setting in SETTINGS:
        if setting.name in config.values:
            environment.setdefault(setting.variable, as_text(config.values[setting.name]))


def as_text(value: Value) -> str:
    """A value as its variable holds it: a truth is 1 or empty."""
    return ("1" if value else "") if isinstance(value, bool) else str(value)


def json_schema() -> dict[str, object]:
    """A JSON Schema of the file, for editors that complete TOML."""
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    properties: dict[str, object] = {
        s.name: {"type": names[s.type], "description": s.meaning, **({"enum": list(s.choices)} if s.choices else {})}
        for s in SETTINGS
    }
    keys = {"type": "object", "additionalProperties": {"type": "string"}, "description": "action id = keys"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "workbench config.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {**properties, KEYMAP: keys},
    }


def _checked(setting: Setting, value: object, place: str) -> Value:
    fits = type(value) is setting.type or (setting.type is str and type(value) in (int, float))
    if not fits:
        raise UserError(f"{place}: {setting.name} must be {_WORDS[setting.type]}")
    if setting.choices and value not in setting.choices:
        raise UserError(f"{place}: {setting.name} must be one of {', '.join(setting.choices)}")
    assert isinstance(value, str | int | float)
    return str(value) if setting.type is str else value


_WORDS = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


def _keymap(table: object, file: Path, text: str) -> Keymap:
    if not isinstance(table, dict):
        raise UserError(f"{_place(file, text, KEYMAP)}: {KEYMAP} must be a table: [{KEYMAP}]")
    for action, keys in table.items():
        if not isinstance(keys, str) or not keys.strip():
            raise UserError(
                f'{_place(file, text, action)}: the keys of "{clean_line(action, 60)}" must be a text such as "f" or "f,ctrl+f"'
            )
    return table


def _place(file: Path, text: str, name: str) -> str:
    """`file:line` of a name; the file alone if it cannot be found (a dotted or escaped key)."""
    wanted = re.compile(rf"""\s*\[?\s*["']?{re.escape(name)}["']?\s*(=|\]|\.)""")
    line = next((i for i, line in enumerate(text.splitlines(), 1) if wanted.match(line)), None)
    return f"{file}:{line}" if line else str(file)
