"""Widgets that several panes share; each draws cleaned text with markup off."""
