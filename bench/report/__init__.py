"""Tables and figures from results; nothing here knows what a model is."""
