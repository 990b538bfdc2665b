"""How Gesso, the model inside the package, is made from nothing. Not part of the wheel."""
