"""What is asked: cards, readers and the one format, Collection. Imports neither of the other two wings."""
