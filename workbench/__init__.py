"""Workbench compiles a conversation workflow into the weights of a small language model, and shows whether it worked."""

__version__ = "0.1.0"
