"""Compiled, orchestrated and in-context agents, simulated users, and the conversation they hold."""
