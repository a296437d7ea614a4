"""Exchange with files: saving and loading."""
