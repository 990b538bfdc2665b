"""How good Gesso is: seven measures on photographs that it never saw."""
