"""What is shipped to run bellpull with, tried as it is."""
