//! Access control lists, as zkCli writes them: `scheme:id:permissions`, with commas in between.

use zk_client::{Acl, Permissions};

use crate::failure::Wrong;

/// The list that a command line means. The id may contain colons, as those of the scheme `digest` do.
pub(crate) fn parse(text: &str) -> Result<Vec<Acl<'static>>, Wrong> {
    text.split(',').map(|entry| parse_one(entry.trim()).ok_or_else(|| wrong(entry))).collect()
}

fn wrong(entry: &str) -> Wrong {
    Wrong(format!(
        "{entry:?} is not an ACL: write SCHEME:ID:PERMISSIONS, with letters of \"cdrwa\" for the permissions"
    ))
}

fn parse_one(entry: &str) -> Option<Acl<'static>> {
    let (scheme, rest) = entry.split_once(':')?;
    let (id, letters) = rest.rsplit_once(':')?;
    let permissions =
        letters.chars().try_fold(Permissions(0), |permissions, letter| Some(permissions | permission(letter)?))?;
    (!scheme.is_empty() && permissions != Permissions(0)).then(|| Acl {
        permissions,
        scheme: scheme.to_owned().into(),
        id: id.to_owned().into(),
    })
}

const fn permission(letter: char) -> Option<Permissions> {
    Some(match letter {
        'c' => Permissions::CREATE,
        'd' => Permissions::DELETE,
        'r' => Permissions::READ,
        'w' => Permissions::WRITE,
        'a' => Permissions::ADMIN,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_zk_cli_reads_them() {
        assert_eq!(parse("world:anyone:cdrwa").unwrap(), Acl::OPEN);
        assert_eq!(parse("auth::cdrwa").unwrap(), Acl::CREATOR_ALL);
        let list = parse("digest:u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=:rw,ip:10.0.0.0/8:r").unwrap();
        assert_eq!(list[0], Acl::digest(Permissions::READ | Permissions::WRITE, "u:p"));
        assert_eq!(list[1], Acl::ip(Permissions::READ, "10.0.0.0/8"));
        for text in ["", "world", "world:anyone", "world:anyone:x", "world:anyone:", ":anyone:r", "world:anyone:r,"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
