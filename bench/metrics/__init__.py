"""Metrics: one file each; networks whose features metrics share in features/."""
