"""The results pane."""
