"""ModernBERT on a CPU by numpy and the compiled kernels, without torch, whose import takes a second."""
