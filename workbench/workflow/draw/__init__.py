"""Drawings of a workflow as plain data: outline, view around one node, full canvas, SVG. No terminal, no widget."""

from workbench.workflow.draw.canvas import Canvas, canvas, ego
from workbench.workflow.draw.layout import Box
from workbench.workflow.draw.model import Glyphs, Line, Span, Style
from workbench.workflow.draw.outline import outline
from workbench.workflow.draw.svg import svg

__all__ = ["Box", "Canvas", "Glyphs", "Line", "Span", "Style", "canvas", "ego", "outline", "svg"]
