//! Names in the abstract namespace (`unix(7)`).

use rustix::net::SocketAddrUnix;

use crate::error::AddressError;

/// Maximum bytes of an abstract name in a socket address, after the leading zero byte.
const ABSTRACT_MAX: usize = 107;

/// The socket address for an abstract name.
pub(crate) fn abstract_address(name: &[u8]) -> Result<SocketAddrUnix, AddressError> {
    let invalid = AddressError::InvalidAbstractName { len: name.len(), max: ABSTRACT_MAX };
    if name.is_empty() || name.len() > ABSTRACT_MAX {
        return Err(invalid);
    }
    SocketAddrUnix::new_abstract_name(name).map_err(|_| invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abstract_names_have_1_to_107_bytes() {
        assert!(abstract_address(&[b'n'; 107]).is_ok());
        for len in [0, 108] {
            assert!(
                matches!(abstract_address(&vec![b'n'; len]), Err(AddressError::InvalidAbstractName { len: l, max: 107 }) if l == len)
            );
        }
    }
}
