"""What readers might write for the task of chapter 16's board.py, and mistakes by their key words."""

RIGHT = {
    "interval": [
        """
def interval(differences):
    n = len(differences)
    mean = sum(differences) / n
    variance = sum((d - mean) ** 2 for d in differences) / (n - 1)
    return [mean, T_975[n - 1] * math.sqrt(variance / n)]
""",
    ],
}
SAME = {}
BUGS = {
    "interval": [
        (" / math.sqrt(n)", "", "not divided by √n"),
        ("math.sqrt(n)", "n", "not by √n"),
        ("statistics.stdev", "statistics.pstdev", "n - 1"),
        ("T_975[n - 1] * ", "2 * T_975[n - 1] * ", "whole width"),
        ("T_975[n - 1] * ", "", "factor is left out"),
        ("T_975[n - 1]", "{**T_975, 5: 2.571}[n]", "degrees of freedom"),
        ("statistics.stdev", "statistics.variance", "root"),
        ("statistics.mean(differences),", "sum(differences),", "divide by n"),
    ],
}
