"""Sphinx configuration: Markdown pages, notebooks executed at build time."""

project = "hyperfabric_q"
author = "The hyperfabric_q developers"
project_copyright = "the hyperfabric_q developers, Apache-2.0"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = "hyperfabric_q"

myst_enable_extensions = ["dollarmath", "colon_fence"]
nb_execution_mode = "cache"
nb_execution_timeout = 120
nb_execution_raise_on_error = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
exclude_patterns = ["_build"]
