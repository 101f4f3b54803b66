"""What an investigation is read from, a module for each kind of source."""
