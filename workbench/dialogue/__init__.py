"""Scenarios, writers, checks on dialogues, reviews, data sets."""
