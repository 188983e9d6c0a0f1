"""Labeller and adherence, judges, statistics, cost, report."""
