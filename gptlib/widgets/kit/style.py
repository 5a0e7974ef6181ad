"""The style of the book's matplotlib figures."""

import matplotlib as mpl
from cycler import cycler

from gptlib.widgets.kit.palette import BLACK, BLUE, GREEN, LIGHT_GREY, PURPLE, SKY_BLUE, VERMILLION

# Each line has a colour and a dash pattern, because a grey copy shows only the pattern.
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, SKY_BLUE, BLACK)
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)))


def book_style() -> None:
    """Set matplotlib's defaults for the book."""
    mpl.rcParams.update(
        {
            "figure.figsize": (7.2, 3.8),
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "font.family": "DejaVu Sans",  # matplotlib ships it, so a figure is the same on every machine
            "font.size": 11,
            "axes.titlesize": 12,
            "axes.labelsize": 11,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.fontsize": 10,
            "figure.titlesize": 13,
            "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=LINE_STYLES),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "lines.linewidth": 1.8,
            "lines.markersize": 5,
            "legend.frameon": False,
            "grid.color": LIGHT_GREY,
            "grid.linewidth": 0.6,
            "image.cmap": "cividis",
            "image.interpolation": "nearest",
        }
    )
