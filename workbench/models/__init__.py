"""Getting text from a model: one client protocol, its implementations, prices, the call ledger."""
