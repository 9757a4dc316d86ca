//! Keyrings: `<linux/keyctl.h>`.

use crate::macros::uapi;

uapi! {
    /// Command of `keyctl(2)`.
    values KEYCTL_COMMANDS: u32 {
        KEYCTL_GET_KEYRING_ID = 0,
        KEYCTL_JOIN_SESSION_KEYRING = 1,
        KEYCTL_UPDATE = 2,
        KEYCTL_REVOKE = 3,
        KEYCTL_CHOWN = 4,
        KEYCTL_SETPERM = 5,
        KEYCTL_DESCRIBE = 6,
        KEYCTL_CLEAR = 7,
        KEYCTL_LINK = 8,
        KEYCTL_UNLINK = 9,
        KEYCTL_SEARCH = 10,
        KEYCTL_READ = 11,
        KEYCTL_INSTANTIATE = 12,
        KEYCTL_NEGATE = 13,
        KEYCTL_SET_REQKEY_KEYRING = 14,
        KEYCTL_SET_TIMEOUT = 15,
        KEYCTL_ASSUME_AUTHORITY = 16,
        KEYCTL_GET_SECURITY = 17,
        KEYCTL_SESSION_TO_PARENT = 18,
        KEYCTL_REJECT = 19,
        KEYCTL_INSTANTIATE_IOV = 20,
        KEYCTL_INVALIDATE = 21,
        KEYCTL_GET_PERSISTENT = 22,
        KEYCTL_DH_COMPUTE = 23,
        KEYCTL_PKEY_QUERY = 24,
        KEYCTL_PKEY_ENCRYPT = 25,
        KEYCTL_PKEY_DECRYPT = 26,
        KEYCTL_PKEY_SIGN = 27,
        KEYCTL_PKEY_VERIFY = 28,
        KEYCTL_RESTRICT_KEYRING = 29,
        KEYCTL_MOVE = 30,
        KEYCTL_CAPABILITIES = 31,
        KEYCTL_WATCH_KEY = 32,
    }

    /// Special keyring of `keyctl(2)`.
    values KEY_SPECS: i32 {
        KEY_SPEC_REQUESTOR_KEYRING = -8,
        KEY_SPEC_REQKEY_AUTH_KEY = -7,
        KEY_SPEC_GROUP_KEYRING = -6,
        KEY_SPEC_USER_SESSION_KEYRING = -5,
        KEY_SPEC_USER_KEYRING = -4,
        KEY_SPEC_SESSION_KEYRING = -3,
        KEY_SPEC_PROCESS_KEYRING = -2,
        KEY_SPEC_THREAD_KEYRING = -1,
    }
}
