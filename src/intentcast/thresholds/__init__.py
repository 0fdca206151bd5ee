"""Tier thresholds from matured predictions, with bands that hold for the time to come."""
