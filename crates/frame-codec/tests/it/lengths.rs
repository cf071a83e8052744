//! Compares length fields with plain numbers: every width and order, whatever the length counts, up to the limits of
//! each type.

use frame_codec::{ByteOrder, DecodeError, EncodeError, Envelope, Framing as _, LengthPrefixed, Scan};
use proptest::prelude::*;

/// What the length field of a framing contains, computed with numbers that never overflow.
#[derive(Clone, Copy, Debug)]
struct Model {
    width: u8,
    order: ByteOrder,
    inclusive: bool,
    offset: u16,
    adjustment: i32,
}

impl Model {
    fn framing(self) -> LengthPrefixed {
        let framing = LengthPrefixed::new(self.width, self.order);
        // In both orders: the derived fields must not depend on it.
        if self.adjustment % 2 == 0 {
            let framing = framing.at(self.offset).adjusted(self.adjustment);
            return if self.inclusive { framing.inclusive() } else { framing };
        }
        let framing = if self.inclusive { framing.inclusive() } else { framing };
        framing.adjusted(self.adjustment).at(self.offset)
    }

    fn lead(self) -> i128 {
        i128::from(self.offset) + i128::from(self.width)
    }

    /// The part of the frame before its payload.
    fn start(self) -> i128 {
        if self.offset == 0 { self.lead() } else { 0 }
    }

    /// What is behind the length field and not counted by it.
    fn surplus(self) -> i128 {
        i128::from(self.adjustment) - if self.inclusive { self.lead() } else { 0 }
    }

    fn largest(self) -> i128 {
        (1 << (8 * u32::from(self.width))) - 1
    }

    fn encode(self, said: i128) -> Vec<u8> {
        let width = usize::from(self.width);
        let said = u64::try_from(said).expect("it was clamped to what the field holds");
        match self.order {
            ByteOrder::BigEndian => said.to_be_bytes()[8 - width..].to_vec(),
            ByteOrder::LittleEndian => said.to_le_bytes()[..width].to_vec(),
        }
    }

    /// A message of this many bytes with this in its length field, as far as there is room.
    fn message(self, said: i128, len: usize) -> Vec<u8> {
        let mut message = vec![0x55; usize::from(self.offset)];
        message.extend(self.encode(said));
        message.resize(len, 0xaa);
        message
    }

    /// What the length field must contain for a payload, with or without header, with this many bytes behind its length
    /// field.
    fn said(self, behind: i128, len: usize) -> Result<i128, EncodeError> {
        let header = len as i128 - behind;
        let said = behind - self.surplus();
        if said < 0 {
            let expected = u64::try_from(self.surplus() + header).expect("more than was there");
            return Err(EncodeError::WrongLength { len, expected });
        }
        if said > self.largest() {
            let max = (self.largest() + self.surplus()).max(0) + header;
            return Err(EncodeError::PayloadTooLarge { len, max: usize::try_from(max).unwrap_or(usize::MAX) });
        }
        Ok(said)
    }

    fn envelope(self, payload: &[u8], said: i128) -> Result<Vec<u8>, EncodeError> {
        let len = payload.len();
        if self.offset == 0 {
            return self.said(len as i128, len).map(|said| self.encode(said));
        }
        if (len as i128) < self.lead() {
            return Err(EncodeError::WrongLength { len, expected: self.lead() as u64 });
        }
        let whole = said + self.surplus() + self.lead();
        if whole == len as i128 {
            return Ok(Vec::new());
        }
        Err(EncodeError::WrongLength { len, expected: u64::try_from(whole.max(0)).unwrap_or(u64::MAX) })
    }

    fn fill_in(self, len: usize) -> Result<i128, EncodeError> {
        let behind = len as i128 - self.lead();
        if behind < 0 {
            return Err(EncodeError::WrongLength { len, expected: self.lead() as u64 });
        }
        self.said(behind, len)
    }

    fn scan(self, unread: usize, said: i128, max: usize) -> Result<Scan, DecodeError> {
        if (unread as i128) < self.lead() {
            return Ok(Scan::More { at_least: self.lead() as usize, scanned: 0 });
        }
        let behind = said + self.surplus();
        if behind < 0 {
            return Err(DecodeError::Malformed { what: "the length is smaller than what it counts" });
        }
        // More than fits into memory counts as everything.
        let Ok(behind) = u64::try_from(behind) else { return Err(DecodeError::FrameTooLarge { len: u64::MAX, max }) };
        let len = i128::from(behind.saturating_add((self.lead() - self.start()) as u64));
        if len > max as i128 {
            return Err(DecodeError::FrameTooLarge { len: len as u64, max });
        }
        let end = usize::try_from(self.start() + len).unwrap_or(usize::MAX);
        if unread < end {
            return Ok(Scan::More { at_least: end, scanned: 0 });
        }
        Ok(Scan::Frame { payload: self.start() as usize..end, end })
    }
}

fn models() -> impl Strategy<Value = Model> {
    let orders = prop_oneof![Just(ByteOrder::BigEndian), Just(ByteOrder::LittleEndian)];
    let offsets = prop_oneof![3 => Just(0), 3 => 1_u16..12, 1 => 200_u16..300, 1 => Just(u16::MAX)];
    let adjustments = prop_oneof![
        3 => Just(0),
        4 => -20_i32..20,
        2 => -300_i32..300,
        1 => -70_000_i32..70_000,
        1 => prop_oneof![Just(i32::MIN), Just(i32::MIN + 1), Just(i32::MAX), Just(i32::MAX - 1)],
    ];
    (1_u8..=8, orders, any::<bool>(), offsets, adjustments)
        .prop_map(|(width, order, inclusive, offset, adjustment)| Model { width, order, inclusive, offset, adjustment })
}

/// A number near one that is special for the framing.
fn near(model: Model, mark: u8, by: i128) -> i128 {
    let edge = match mark {
        0 => 0,
        1 => model.lead(),
        2 => -model.surplus(),
        3 => model.surplus() + model.lead(),
        4 => model.largest() + model.surplus(),
        5 => model.largest() + model.surplus() + model.lead(),
        6 => model.largest() - model.surplus(),
        _ => model.largest(),
    };
    edge + by
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_length_field_says_what_plain_numbers_say(
        model in models(), (mark, by) in (0_u8..8, -3_i128..=3), (size_mark, size_by) in (0_u8..8, -3_i128..=3),
        max in prop_oneof![Just(0), 0_usize..70_000, Just(usize::MAX)], claim in any::<bool>(),
    ) {
        let framing = model.framing();
        // No message here has more than a few hundred thousand bytes, whatever its length says.
        let len = near(model, size_mark, size_by).clamp(0, 200_000) as usize;
        let said = if claim { len as i128 - model.lead() - model.surplus() } else { near(model, mark, by) };
        let said = said.clamp(0, model.largest());
        let message = model.message(said, len);

        prop_assert_eq!(framing.scan(&message, 0, max), model.scan(len, said, max));
        let envelope = framing.envelope(&message).map(|Envelope { head, tail }| [head.as_ref(), tail].concat());
        prop_assert_eq!(&envelope, &model.envelope(&message, said));

        let mut filled = message.clone();
        let outcome = framing.fill_in(&mut filled);
        prop_assert_eq!(&outcome, &model.fill_in(len).map(|_| ()));
        // It writes its field and nothing else, and nothing at all if it rejects the message.
        let expected = model.fill_in(len).map_or(message, |said| model.message(said, len));
        prop_assert!(filled == expected);
        // A frame that was made is read back.
        let wire = if model.offset > 0 { outcome.is_ok().then_some(filled) } else {
            envelope.ok().map(|head| [head, filled].concat())
        };
        if let Some(wire) = wire {
            let payload = model.start() as usize..wire.len();
            prop_assert_eq!(framing.scan(&wire, 0, usize::MAX), Ok(Scan::Frame { payload, end: wire.len() }));
        }
    }
}
