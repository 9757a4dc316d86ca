//! Whom a process runs as: numbers, or names of the container's own `/etc/passwd` and `/etc/group`
//! (`passwd(5)`, `group(5)`).

/// A user as a process has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Finds `NAME[:GROUP]` or `UID[:GROUP]` in the texts of the two files.
///
/// A number needs no entry. With a group given there are no supplementary ones, as `docker run
/// --user` has it.
///
/// # Errors
/// A line that says which name is unknown.
pub fn find(wish: &str, passwd: &str, group: &str) -> Result<Identity, String> {
    let (user, wanted_group) = match wish.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (wish, None),
    };
    let entry = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid: u32 = fields.nth(1)?.parse().ok()?;
        let gid: u32 = fields.next()?.parse().ok()?;
        (name == user || user.parse() == Ok(uid)).then_some((name, uid, gid))
    });
    let (name, uid, gid) = match (entry, user.parse()) {
        (Some((name, uid, gid)), _) => (Some(name), uid, gid),
        (None, Ok(uid)) => (None, uid, 0),
        (None, Err(_)) => return Err(format!("there is no user {user:?} in the sandbox")),
    };
    if let Some(wanted) = wanted_group {
        let gid = find_group(wanted, group)
            .ok_or_else(|| format!("there is no group {wanted:?} in the sandbox"))?;
        return Ok(Identity { uid, gid, groups: Vec::new() });
    }
    let member_of = |line: &str| -> Option<u32> {
        let mut fields = line.split(':');
        let gid: u32 = fields.nth(2)?.parse().ok()?;
        let mut members = fields.next()?.split(',');
        members.any(|member| Some(member) == name).then_some(gid)
    };
    let mut groups: Vec<u32> = group.lines().filter_map(member_of).collect();
    groups.push(gid);
    groups.sort_unstable();
    groups.dedup();
    Ok(Identity { uid, gid, groups })
}

fn find_group(wanted: &str, group: &str) -> Option<u32> {
    let named = group.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid: u32 = fields.nth(1)?.parse().ok()?;
        (name == wanted).then_some(gid)
    });
    named.or_else(|| wanted.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{Identity, find};

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n\
                          broken\nbob:x:x:1:::\n";
    const GROUP: &str = "root:x:0:\nann:x:1000:\nwheel:x:10:root,ann\nodd\n";

    fn ids(uid: u32, gid: u32, groups: &[u32]) -> Identity {
        Identity { uid, gid, groups: groups.to_vec() }
    }

    #[test]
    fn names_and_numbers_are_found() {
        assert_eq!(find("root", PASSWD, GROUP), Ok(ids(0, 0, &[0, 10])));
        assert_eq!(find("ann", PASSWD, GROUP), Ok(ids(1000, 1000, &[10, 1000])));
        assert_eq!(find("1000", PASSWD, GROUP), Ok(ids(1000, 1000, &[10, 1000])));
        assert_eq!(find("7", PASSWD, GROUP), Ok(ids(7, 0, &[0])));
        assert_eq!(find("ann:wheel", PASSWD, GROUP), Ok(ids(1000, 10, &[])));
        assert_eq!(find("5:6", "", ""), Ok(ids(5, 6, &[])));
    }

    #[test]
    fn unknown_names_are_named() {
        assert!(find("eve", PASSWD, GROUP).is_err_and(|line| line.contains("eve")));
        assert!(find("bob", PASSWD, GROUP).is_err());
        assert!(find("ann:eves", PASSWD, GROUP).is_err_and(|line| line.contains("eves")));
        assert!(find("", "", "").is_err());
    }
}
