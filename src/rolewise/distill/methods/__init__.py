"""One file for each method; a file that is added here is found by itself."""
