"""Graders of the OpenAI evaluations API in their published JSON form, run here."""
