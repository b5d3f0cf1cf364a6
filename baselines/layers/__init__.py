"""Blocks that several models share to the letter."""
