"""What makes the chapters a course: exercises with checkers, predictions, export of the reader's modules.

A checker takes the reader's function, calls it on inputs of its own, and raises through `expect` when a
result is wrong. One module per chapter holds its checkers; tests/exercises/answers the wrong answers to reject.
"""

from gptlib.exercises.chapter import export_chapter
from gptlib.exercises.checker import exercise, expect
from gptlib.exercises.predictions import Predictions

__all__ = ["Predictions", "exercise", "expect", "export_chapter"]
