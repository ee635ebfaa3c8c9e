"""Fine-tuning of classifiers."""
