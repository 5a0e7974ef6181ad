"""The web book: the chapters as pages, built by Sphinx from the executed notebooks: `python -m web`."""
