"""What can go wrong when a model is opened."""


class LoadError(Exception):
    """A model that could not be loaded. The message is one sentence that says what is wrong and what to do."""
