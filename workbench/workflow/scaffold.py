"""A small valid workflow to start from."""

from __future__ import annotations

import re
from pathlib import Path

from workbench.errors import UserError

TEMPLATE = """\
# yaml-language-server: $schema={schema}
# A workflow: nodes that speak, hubs that decide, terminals that end it. `workbench workflow check` tells what is missing.
name: {name}
title: {title}
description: Takes an order and confirms it.
instruction: You are a helpful order assistant.
max_visits: 2 # how often a path may visit one node

variables: # the facts of a scenario; {{item}} in a wording is replaced by its value
  item: {{type: choice, values: [tea, coffee, cocoa, juice], description: What the user orders.}}

nodes:
  - id: greet
    role: agent
    start: true
    prompt: Greet the user and ask what they would like.
    say:
      training: ["Hello! What would you like?", "Hi, what can I get you?"]
      evaluation: ["Good day! What shall it be?"]

  - id: user_order
    role: user
    prompt: Order something, or stop.
    moves: # what the user may do here
      - id: order
        description: Names what is wanted.
        say:
          training: ["I would like {{item}}.", "One {{item}}, please."]
          evaluation: ["Could I have {{item}}?"]
      - id: vague
        description: Does not name anything.
        say:
          training: ["Something warm.", "I do not know yet."]
          evaluation: ["Hard to say."]
      - id: stop
        description: Wants nothing after all.
        say:
          training: ["Nothing, thanks.", "Never mind."]
          evaluation: ["I have changed my mind, nothing."]

  - id: decide # a hub: an agent node with several ways out
    role: agent
    prompt: Decide what the user's message asks for.

  - id: ordered
    role: terminal
    outcome: success
    prompt: Confirm the order and say goodbye.
    say:
      training: ["One {{item}} is on its way. Goodbye!", "Done, {{item}} it is. Enjoy!"]
      evaluation: ["Your {{item}} is coming. Bye!"]

  - id: abandoned
    role: terminal
    outcome: abandoned
    prompt: Say goodbye.
    say:
      training: ["All right, goodbye!", "No problem. Bye!"]
      evaluation: ["Understood, goodbye!"]

edges: # their order fixes the order of the conditions at a hub
  - {{from: greet, to: user_order}}
  - {{from: user_order, to: decide}}
  - from: decide
    to: ordered
    condition: The user has named what is wanted.
    when: {{moves: [order]}}
  - from: decide
    to: user_order
    condition: The user has not named anything.
    when: {{moves: [vague]}}
    say: # what the agent says when it takes this edge
      training: ["We have tea, coffee, cocoa and juice.", "Tea, coffee, cocoa or juice?"]
      evaluation: ["There is tea, coffee, cocoa and juice."]
  - from: decide
    to: abandoned
    condition: The user wants nothing.
    when: {{moves: [stop]}}
"""


def scaffold(name: str, schema: str = "schema.json") -> str:
    """The text of a small valid workflow called `name`. Raises UserError if that cannot be a name."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,79}", name):
        raise UserError(f"'{name}' cannot be a workflow's name; use letters, digits, '_', '-' and '.'")
    return TEMPLATE.format(name=name, title=name.replace("_", " ").replace("-", " ").capitalize(), schema=schema)


def write_scaffold(name: str, folder: Path) -> Path:
    """Write `folder/name.yaml`. Raises UserError if the file is there already."""
    text = scaffold(name)
    folder.mkdir(parents=True, exist_ok=True)
    return write_new(folder / f"{name}.yaml", text)


def write_new(path: Path, text: str, *, replace: bool = False) -> Path:
    """Write a file that must not be there yet unless `replace`; UserError otherwise."""
    try:
        with path.open("w" if replace else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path} is there already; choose another name, or --force to replace it") from None
    return path
