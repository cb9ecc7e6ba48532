"""Layer 3½: how good the search is: which planted defects it finds, how soon, and how small they become."""
