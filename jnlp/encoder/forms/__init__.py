"""The forms of the forward pass: one for each kind of processor, tested against `ModernBert.forward`."""
