//! The byte in front of each payload.

/// A payload after the number of its descriptors.
pub(super) fn counted(count: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 1);
    frame.push(count);
    frame.extend_from_slice(payload);
    frame
}
