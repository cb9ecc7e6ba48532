"""The QEMU PowerVM guest: a real Linux for ppc64le with its own driver, on a simulated PHYP."""
