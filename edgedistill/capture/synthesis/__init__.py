"""Transfer data from a teacher: labels for what the user has, or examples that the teacher makes up."""
