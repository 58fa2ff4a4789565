"""What docs/answers.md claims, replayed on recorded tables and in simulations: python -m tests.answers prints it."""
