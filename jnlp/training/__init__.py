"""Training: one loop and several objectives. Heavy imports happen when a run starts."""
