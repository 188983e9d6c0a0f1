"""The five panes, one package each; the app imports a pane when it is first opened."""
