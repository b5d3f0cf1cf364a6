"""A benchmark harness for image inpainting: one `predict`, frozen masks, named metrics, the papers' tables."""

__version__ = "0.1.0"
