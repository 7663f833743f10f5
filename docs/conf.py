"""Sphinx configuration: `make docs` builds docs/_build/html, which needs no internet to be read."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "_ext"))

from steode.cli.program_cache import use_program_cache

# checks, and the kernels of executed pages, which inherit it: most of their time is compiling, often the same programs
use_program_cache()

import kept  # noqa: E402

import steode  # noqa: E402

project = "steode"
author = "the steode authors"
copyright = "the steode authors, Apache-2.0"
version = release = steode.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinxcontrib.bibtex",
    "sphinx_design",
    "docstrings",
    "pages",
    "punctuation",
]
exclude_patterns = ["_build", "_ext", "_static", "_templates", "**/.ipynb_checkpoints"]
templates_path = ["_templates"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!steode\.).*")]
"""References to other projects are plain text: an inventory would have to be fetched from the internet."""

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
# the markers of generated tables, and mathematics of pages that code hosts show too
suppress_warnings = ["myst.header"]

# quick start and guides are executed; notebooks are committed with their outputs
nb_execution_mode = "cache"
# their outputs are kept as long as the package does not change
nb_execution_cache_path = str(kept.CACHE / f"notebooks-{kept.code_hash('kept')[:12]}")
nb_execution_excludepatterns = ["notebooks/*"]
nb_execution_raise_on_error = True
nb_execution_timeout = 180
nb_merge_streams = True
nb_render_markdown_format = "myst"

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
add_module_names = False

bibtex_bibfiles = ["references.bib"]

mathjax_path = "mathjax/tex-mml-chtml.js"
mathjax3_config = {"options": {"enableMenu": False}, "chtml": {"mtextInheritFont": True, "scale": 0.93}}

# indented blocks are formulas and commands; Python is marked as such
highlight_language = "text"

html_theme = "pydata_sphinx_theme"
html_title = "steode"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_sidebars = {name: [] for name in ("index", "explorer")}
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "steode"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 8,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
