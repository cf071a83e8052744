//! Field types, and records that consist only of fields.

use std::borrow::Cow;

use bytes::BufMut;

use super::{Reader, put_boolean, put_buffer, put_int, put_len, put_long, put_text};
use crate::error::Error;

/// A type that a field of a record can have.
pub(crate) trait Field<'a>: Sized {
    /// The minimum number of bytes on the wire.
    const SMALLEST: usize;

    fn put(&self, out: &mut impl BufMut);

    fn take(field: &'static str, reader: &mut Reader<'a>) -> Result<Self, Error>;
}

impl<'a> Field<'a> for i32 {
    const SMALLEST: usize = 4;

    fn put(&self, out: &mut impl BufMut) {
        put_int(out, *self);
    }

    fn take(field: &'static str, reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.int(field)
    }
}

impl<'a> Field<'a> for i64 {
    const SMALLEST: usize = 8;

    fn put(&self, out: &mut impl BufMut) {
        put_long(out, *self);
    }

    fn take(field: &'static str, reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.long(field)
    }
}

impl<'a> Field<'a> for bool {
    const SMALLEST: usize = 1;

    fn put(&self, out: &mut impl BufMut) {
        put_boolean(out, *self);
    }

    fn take(field: &'static str, reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.boolean(field)
    }
}

impl<'a> Field<'a> for Cow<'a, str> {
    const SMALLEST: usize = 4;

    fn put(&self, out: &mut impl BufMut) {
        put_text(out, self);
    }

    fn take(field: &'static str, reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.text(field)
    }
}

impl<'a> Field<'a> for Option<Cow<'a, str>> {
    const SMALLEST: usize = 4;

    fn put(&self, out: &mut impl BufMut) {
        put_buffer(out, self.as_deref().map(str::as_bytes));
    }

    fn take(field: &'static str, reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.nullable_text(field)
    }
}

impl<'a> Field<'a> for Option<&'a [u8]> {
    const SMALLEST: usize = 4;

    fn put(&self, out: &mut impl BufMut) {
        put_buffer(out, *self);
    }

    fn take(field: &'static str, reader: &mut Reader<'a>) -> Result<Self, Error> {
        reader.buffer(field)
    }
}

/// A list, or null.
impl<'a, T: Field<'a> + Clone> Field<'a> for Option<Cow<'a, [T]>> {
    const SMALLEST: usize = 4;

    fn put(&self, out: &mut impl BufMut) {
        match self {
            None => put_int(out, -1),
            Some(elements) => {
                put_len(out, elements.len());
                elements.iter().for_each(|element| element.put(out));
            }
        }
    }

    fn take(field: &'static str, reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(reader.vector(field, T::SMALLEST, |reader| T::take(field, reader))?.map(Cow::Owned))
    }
}

/// Makes a record usable as a field of other records.
macro_rules! record_field {
    ($type:ty, $smallest:expr) => {
        impl<'a> $crate::jute::Field<'a> for $type {
            const SMALLEST: usize = $smallest;

            fn put(&self, out: &mut impl bytes::BufMut) {
                $crate::jute::Record::encode(self, out);
            }

            fn take(_field: &'static str, reader: &mut $crate::jute::Reader<'a>) -> Result<Self, $crate::error::Error> {
                $crate::jute::Record::decode(reader)
            }
        }
    };
}

/// Defines records by their fields, in wire order. The string is the field's name in `zookeeper.jute`.
macro_rules! records {
    ($($(#[$doc:meta])* $name:ident $(<$life:lifetime>)? {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $jute:literal,)*
    })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name $(<$life>)? {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl<'a> $crate::jute::Record<'a> for records!(@type $name $($life)?) {
            fn encode(&self, out: &mut impl bytes::BufMut) {
                let _ = &out;
                $($crate::jute::Field::put(&self.$field, out);)*
            }

            fn decode(reader: &mut $crate::jute::Reader<'a>) -> Result<Self, $crate::error::Error> {
                let _ = &reader;
                Ok(Self { $($field: $crate::jute::Field::take($jute, reader)?,)* })
            }
        }
    )+};
    (@type $name:ident $life:lifetime) => { $name<'a> };
    (@type $name:ident) => { $name };
}

pub(crate) use {record_field, records};
