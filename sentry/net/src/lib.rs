//! Sockets: unix, netlink, inet loopback and host passthrough.
