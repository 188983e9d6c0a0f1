"""Detached processes: launch, status, stop, resume, events."""
