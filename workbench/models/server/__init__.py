"""A light OpenAI-compatible server for one local model: continuous batching, no prefix computed twice."""
