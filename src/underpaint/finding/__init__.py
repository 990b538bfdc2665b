"""Finding the strength that keeps so much of a source: a search, and the renders that it asks for."""
