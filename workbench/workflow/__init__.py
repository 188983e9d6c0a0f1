"""The procedure: model, file format, checks, PathSpace, drawing, exchange formats."""
