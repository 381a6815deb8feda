"""Features of image networks: what units answer to."""
