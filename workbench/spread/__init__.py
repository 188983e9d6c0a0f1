"""Doing many items of work in one place or in many: on this event loop, or on the workers of a Ray cluster."""
