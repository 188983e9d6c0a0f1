"""The parts of `workbench.workflow.paths`: a light graph, the states of a walk in it, and the table of completions."""
