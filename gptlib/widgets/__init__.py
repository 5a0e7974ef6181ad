"""The widgets of the notebooks, a file each; `kit` holds what they share.

A widget takes plain callables and arrays, so a chapter can show it before the reader has built the modules
behind it; a function `…_for_model` makes the widget of a trained GPT.
"""
