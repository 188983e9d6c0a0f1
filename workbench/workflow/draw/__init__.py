"""Drawings of a workflow as plain data: outline, ego view, full canvas, SVG. No terminal, no widget."""

from workbench.workflow.draw.model import Glyphs, Line, Span, Style
from workbench.workflow.draw.outline import outline

__all__ = ["Glyphs", "Line", "Span", "Style", "outline"]
