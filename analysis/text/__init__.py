"""Findings as text: tables and sentences for a terminal."""
