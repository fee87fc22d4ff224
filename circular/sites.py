"""Sites: what becomes of a building's materials when its day changes."""
