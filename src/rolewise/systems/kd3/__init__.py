"""KD3: a student that learns from pictures of the web, which its teacher and it choose themselves."""
