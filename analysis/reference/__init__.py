"""The paper's own tables, and what is built beside them."""
