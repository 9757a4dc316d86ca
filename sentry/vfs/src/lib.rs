//! Virtual file system: mounts, dentries, path walk and the file systems.
