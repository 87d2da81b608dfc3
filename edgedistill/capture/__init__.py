"""A teacher's real traffic: recorded, filtered, split, exported."""
