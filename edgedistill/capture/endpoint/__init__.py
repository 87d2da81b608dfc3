"""Asking models through any address that speaks the OpenAI API: paced, retried, counted."""
