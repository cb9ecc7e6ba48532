"""The driver models that can stand above PHYP or EEH."""
