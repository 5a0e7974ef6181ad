"""What works on the book from outside: its notebooks, and the measurements that it shows."""
