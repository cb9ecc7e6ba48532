"""Nothing is configured here: fixtures and options come from the plugin, `harness/pytest_plugin.py`."""
