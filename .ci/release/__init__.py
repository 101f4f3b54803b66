"""`make release`: what is handed on, and the proof that it works elsewhere. No part of the package."""
