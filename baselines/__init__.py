"""The models: one file each, and the file's name is the model's name."""
