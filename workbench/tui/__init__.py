"""The terminal app: a thin App and one package a pane."""
