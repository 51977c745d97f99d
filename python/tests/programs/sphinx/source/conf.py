project = "example"
extensions = ["sphinx.ext.autodoc"]
