"""Where the bytes of artifacts lie: one file per store, and the contract that every store keeps."""
