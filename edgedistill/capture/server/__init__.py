"""A pass-through to a teacher's API that stores what passes, and the endpoints for what is stored."""
