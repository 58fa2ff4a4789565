"""A run as one HTML page: words, tables and plots, and the templates, style and script in page/."""
