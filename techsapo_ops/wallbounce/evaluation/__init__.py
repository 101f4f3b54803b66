"""Labelled questions: what their answers must say, and how far figures from so few can be trusted."""
