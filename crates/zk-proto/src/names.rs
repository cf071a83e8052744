//! A list of names in one block of memory.

use std::fmt;

use bytes::BufMut;

use crate::{
    error::Error,
    jute::{self, Field, Reader, put_len, put_text},
};

/// The names of a node's children, or a list of paths. All of them share one block of text.
///
/// ```
/// use zk_proto::Names;
///
/// let names: Names = ["b", "a"].into_iter().collect();
/// assert_eq!(names.iter().collect::<Vec<_>>(), ["b", "a"]);
/// assert_eq!(names.sorted(), ["a", "b"]);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Names {
    text: String,
    /// Where each name ends in the text.
    ends: Vec<u32>,
}

impl Names {
    /// The number of names.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the list is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The name at this position.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let begin = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.text.get(begin as usize..end as usize)
    }

    /// The names in the server's order, which has no meaning.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + DoubleEndedIterator + Clone {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }

    /// The names, sorted by their bytes.
    #[must_use]
    pub fn sorted(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.iter().collect();
        names.sort_unstable();
        names
    }

    /// Whether the list contains this name. The search is linear.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|other| other == name)
    }

    /// The memory that the list occupies, in bytes.
    #[must_use]
    pub const fn memory_len(&self) -> usize {
        self.text.capacity().saturating_add(self.ends.capacity().saturating_mul(size_of::<u32>()))
    }

    /// Adds a name.
    ///
    /// # Panics
    ///
    /// If the names reach 4 GiB in total.
    pub fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(u32::try_from(self.text.len()).expect("names of less than 4 GiB"));
    }

    fn decode(field: &'static str, reader: &mut Reader<'_>) -> Result<Option<Self>, Error> {
        let Some(count) = reader.count(field, 4)? else { return Ok(None) };
        // Text and ends together take no more memory than the bytes that are there.
        let room = reader.left().saturating_sub(count.saturating_mul(4));
        let mut names = Self { text: String::with_capacity(room), ends: Vec::with_capacity(count) };
        for _ in 0..count {
            let bytes = reader.buffer(field)?.ok_or(Error::Null { field })?;
            names.push(&jute::text(field, bytes)?);
        }
        names.text.shrink_to_fit();
        Ok(Some(names))
    }
}

impl<'a> Field<'a> for Option<Names> {
    const SMALLEST: usize = 4;

    fn put(&self, out: &mut impl BufMut) {
        match self {
            None => jute::put_int(out, -1),
            Some(names) => {
                put_len(out, names.len());
                names.iter().for_each(|name| put_text(out, name));
            }
        }
    }

    fn take(field: &'static str, reader: &mut Reader<'a>) -> Result<Self, Error> {
        Names::decode(field, reader)
    }
}

impl<S: AsRef<str>> FromIterator<S> for Names {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut all = Self::default();
        names.into_iter().for_each(|name| all.push(name.as_ref()));
        all
    }
}

impl From<&Names> for Vec<String> {
    fn from(names: &Names) -> Self {
        names.iter().map(str::to_owned).collect()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lie_next_to_each_other_and_come_back_one_by_one() {
        let names: Names = ["a", "", "größer", "b"].into_iter().collect();
        assert_eq!((names.len(), names.is_empty(), names.text.as_str()), (4, false, "agrößerb"));
        assert_eq!(names.iter().rev().collect::<Vec<_>>(), ["b", "größer", "", "a"]);
        assert_eq!((names.get(0), names.get(3), names.get(4)), (Some("a"), Some("b"), None));
        assert_eq!(names.sorted(), ["", "a", "b", "größer"]);
        assert!(names.contains("") && !names.contains("gr"));
        assert_eq!(Vec::from(&names), ["a", "", "größer", "b"]);
        assert_eq!(format!("{names:?}"), r#"["a", "", "größer", "b"]"#);
    }

    #[test]
    fn the_memory_is_no_more_than_what_arrived() {
        let mut bytes = Vec::new();
        Some((0..1000).map(|n| n.to_string()).collect::<Names>()).put(&mut bytes);
        let names = Names::decode("children", &mut Reader::new(&bytes)).unwrap().unwrap();
        assert_eq!(names.len(), 1000);
        assert!(names.memory_len() <= bytes.len(), "{} bytes for {}", names.memory_len(), bytes.len());
    }
}
