"""Solutions to the exercises, a file a chapter; `# --- NAME` begins the one that the checker NAME accepts.

The notebooks show them folded: `python -m tools.notebooks solutions`, which `make export` calls.
"""
