"""Starting points: a student that begins with what its teacher knows."""
