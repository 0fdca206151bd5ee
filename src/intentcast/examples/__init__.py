"""Real data sets, converted to the project's tables."""
