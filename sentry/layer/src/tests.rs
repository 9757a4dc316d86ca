use std::io::Read;

use crate::{Change, File, Format, Kind, Node, Output};

/// Path, kind, file, contents.
type Told<'a> = (&'a [u8], Kind, Option<File>, &'a [u8]);

fn file(node: Node) -> File {
    File { node, mode: 0o640, uid: 3, gid: 4, mtime: (1_000_000_007, 5), xattrs: Vec::new() }
}

fn write(format: Format, changes: &[Told<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut output = Output::new(&mut bytes, format);
    for (path, kind, file, contents) in changes {
        let change = Change { path, kind: *kind, file: file.clone() };
        output.write(&change, &mut &contents[..]).unwrap();
    }
    output.finish().unwrap();
    bytes
}

#[test]
fn lists_have_a_line_for_each() {
    let changes: [Told<'_>; 3] = [
        (b"/a", Kind::Changed, Some(file(Node::Directory { opaque: false })), b""),
        (b"/a/n\new\\", Kind::Added, Some(file(Node::Regular(3))), b""),
        (b"/gone", Kind::Deleted, None, b""),
    ];
    assert_eq!(write(Format::Text, &changes), b"C /a\nA /a/n\\new\\\\\nD /gone\n");
    let json: serde_json::Value = serde_json::from_slice(&write(Format::Json, &changes)).unwrap();
    assert_eq!(json[0]["type"], "directory");
    assert_eq!(json[1]["path"], "/a/n\new\\");
    assert_eq!((&json[1]["change"], &json[1]["size"]), (&"added".into(), &3.into()));
    assert_eq!(json[2], serde_json::json!({ "path": "/gone", "change": "deleted" }));
    assert_eq!(write(Format::Json, &[]), b"[]\n");
}

#[test]
fn tar_files_can_be_read() {
    let long = [&b"/dir/"[..], &[b'x'; 200]].concat();
    let mut with_xattr = file(Node::Regular(5));
    with_xattr.xattrs = vec![(b"user.color".to_vec(), b"r\0d".to_vec())];
    let bytes = write(
        Format::Tar,
        &[
            (b"/dir", Kind::Added, Some(file(Node::Directory { opaque: true })), b""),
            (&long, Kind::Added, Some(with_xattr), b"short"),
            (b"/dir/two", Kind::Added, Some(file(Node::Link(long.clone()))), b""),
            (b"/dir/shrank", Kind::Added, Some(file(Node::Regular(4))), b"ab"),
            (b"/dir/grew", Kind::Added, Some(file(Node::Regular(1))), b"abc"),
            (b"/ln", Kind::Added, Some(file(Node::Symlink(vec![b't'; 150]))), b""),
            (b"/null", Kind::Added, Some(file(Node::CharDevice(1, 3))), b""),
            (b"/sock", Kind::Added, Some(file(Node::Socket)), b""),
            (b"/etc/gone", Kind::Deleted, None, b""),
        ],
    );
    let mut seen = Vec::new();
    for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path_bytes().into_owned();
        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        let pax = entry.pax_extensions().unwrap().map_or(Vec::new(), |pax| {
            pax.map(|pair| pair.unwrap())
                .map(|pair| (pair.key().unwrap().to_owned(), pair.value_bytes().to_vec()))
                .collect()
        });
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).unwrap();
        seen.push((path, target, pax, contents));
    }
    let paths: Vec<_> = seen.iter().map(|(path, ..)| &path[..]).collect();
    let long = &long[1..];
    let expected: [&[u8]; 9] = [
        b"dir/",
        b"dir/.wh..wh..opq",
        long,
        b"dir/two",
        b"dir/shrank",
        b"dir/grew",
        b"ln",
        b"null",
        b"etc/.wh.gone",
    ];
    assert_eq!(paths, expected);
    assert_eq!(seen[2].3, b"short");
    assert!(seen[2].2.contains(&("SCHILY.xattr.user.color".to_owned(), b"r\0d".to_vec())));
    assert!(seen[2].2.contains(&("mtime".to_owned(), b"1000000007.000000005".to_vec())));
    assert_eq!(seen[3].1.as_deref(), Some(long));
    assert_eq!((&seen[4].3[..], &seen[5].3[..]), (&b"ab\0\0"[..], &b"a"[..]));
    assert_eq!(seen[6].1.as_deref(), Some(&[b't'; 150][..]));
}

#[test]
fn times_before_the_epoch() {
    assert_eq!(crate::tape::time(-1, 250_000_000), "-0.750000000");
    assert_eq!(crate::tape::time(-3, 250_000_000), "-2.750000000");
    assert_eq!(crate::tape::time(-3, 0), "-3.000000000");
}
