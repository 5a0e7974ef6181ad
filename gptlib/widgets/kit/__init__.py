"""What all widgets share: colours, figure style, font, pen, HTML, text, controls, and the base class."""
