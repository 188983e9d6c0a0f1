"""The dialogues pane."""
