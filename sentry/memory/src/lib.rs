//! Guest memory: memory files, VMAs, copy-on-write, safe copying to and from guests.
