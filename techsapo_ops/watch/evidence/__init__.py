"""What an investigation reads of the own stack."""
