"""Speed and memory, each as a ratio against a yardstick that is measured in the same run. `make bench`."""
