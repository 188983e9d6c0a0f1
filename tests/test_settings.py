"""The config file: what it may say, what is refused and where, and that the environment wins."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from workbench.errors import UserError
from workbench.settings import SETTINGS, apply, config_file, json_schema, read_config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_no_file_sets_nothing(file: Path) -> None:
    config = read_config(file)
    assert (config.values, config.keymap) == ({}, {})


def test_the_place_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORKBENCH_CONFIG", str(tmp_path / "mine.toml"))
    assert config_file() == tmp_path / "mine.toml"
    monkeypatch.delenv("WORKBENCH_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_file() == tmp_path / "workbench" / "config.toml"


def test_values_go_where_they_are_read_and_the_environment_wins(file: Path) -> None:
    file.write_text('reviewer = "anna"\nascii = true\nthreads = 3\nlocal_price = 2.5\ntheme = "nord"\n')
    environment = {"WORKBENCH_THEME": "dracula"}
    apply(read_config(file), environment)
    assert environment == {
        "WORKBENCH_THEME": "dracula",
        "WORKBENCH_REVIEWER": "anna",
        "WORKBENCH_ASCII": "1",
        "WORKBENCH_THREADS": "3",
        "WORKBENCH_LOCAL_PRICE": "2.5",
    }


def test_a_keymap_is_read(file: Path) -> None:
    file.write_text('[keys]\n"dialogues.search" = "slash,ctrl+f"\n')
    assert read_config(file).keymap == {"dialogues.search": "slash,ctrl+f"}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('theme = "nord"\nthem = "x"\n', ":2", 'unknown setting "them"'),
        ("\nthreads = 'two'\n", ":2", "threads must be a whole number"),
        ("threads = true\n", ":1", "threads must be a whole number"),
        ("ascii = 1\n", ":1", "ascii must be true or false"),
        ("theme = true\n", ":1", "theme must be a text"),
        ('slow_link = "maybe"\n', ":1", "slow_link must be one of auto, on, off"),
        ("keys = 3\n", ":1", "keys must be a table"),
        ('[keys]\n"chat.write" = 3\n', ":2", 'the keys of "chat.write"'),
        ("theme = \n", "", "line 1"),
        ('ANTHROPIC_API_KEY = "sk-1"\n', ":1", "unknown setting"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(file: Path, text: str, line: str, says: str) -> None:
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_config(file)
    assert str(caught.value).startswith(f"{file}{line}")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_garbage_is_no_config(file: Path) -> None:
    file.write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="UTF-8"):
        read_config(file)
    file.write_bytes(b"#" * (1 << 21))
    with pytest.raises(UserError, match="no config file"):
        read_config(file)


def test_the_schema_knows_every_setting_and_nothing_else() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"theme": "nord", "keys": {"a.b": "x"}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"them": "nord"}, schema)
    assert len({s.variable for s in SETTINGS} | {s.name for s in SETTINGS}) == 2 * len(SETTINGS)
