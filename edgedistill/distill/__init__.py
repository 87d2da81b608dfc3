"""Teaching a student: the teacher's outputs, the losses, the training loop."""
