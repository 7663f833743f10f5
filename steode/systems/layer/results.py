"""Texts of what the layer's verbs return."""


def table(head: list[str], rows: list[list]) -> str:
    """Columns of words and numbers, aligned."""
    cells = [head] + [[cell if isinstance(cell, str) else f"{cell:.5g}" for cell in row] for row in rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(head))]
    words = [isinstance(cell, str) for cell in rows[0]] if rows else [True] * len(head)
    lines = [
        "  ".join(
            cell.ljust(width) if word else cell.rjust(width)
            for cell, width, word in zip(row, widths, words, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines)
