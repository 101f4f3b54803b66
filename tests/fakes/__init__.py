"""Small honest stand-ins for the doors that the package goes through, one each."""
