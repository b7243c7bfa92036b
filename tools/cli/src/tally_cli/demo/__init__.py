"""The demo: real-shaped funding, trouble mixed in, and proof at the end that nothing was lost."""
