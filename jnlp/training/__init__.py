"""Training: one loop, several objectives. Nothing heavy is imported until a run starts."""
