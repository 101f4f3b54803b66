"""TechSapo operations: one YAML spec to a running, watched stack."""

__version__ = "0.9.0"
