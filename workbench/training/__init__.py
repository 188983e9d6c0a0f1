"""Recipe, encoding, the trainer process, machine readings."""
