"""How Pico's oracle, and the relatives that keep a secret, are made and proved."""
