"""The commands of the command line, a file each, and the parts that they share."""
