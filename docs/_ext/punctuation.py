"""Sphinx extension: no line of a page begins with a comma that belongs to a formula."""

from docutils import nodes


def keep_punctuation(app, doctree) -> None:
    """Punctuation after an inline formula goes into it: browsers may break a line behind what a script has drawn."""
    for formula in list(doctree.findall(nodes.math)):
        after = formula.next_node(descend=False, siblings=True)
        if isinstance(after, nodes.Text) and after[:1] in tuple(",.;:)?!"):
            formula.replace(formula[0], nodes.Text(rf"{formula.astext()}\text{{{after[0]}}}"))
            after.parent.replace(after, nodes.Text(after[1:]))


def setup(app):
    app.connect("doctree-read", keep_punctuation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
