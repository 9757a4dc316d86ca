//! Differential, smoke and hostile tests of Bevor against the host kernel.
