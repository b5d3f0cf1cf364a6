"""Masks: one file a family, buckets of ratio, frozen sets."""
