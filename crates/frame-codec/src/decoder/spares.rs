//! Blocks from earlier reads. The consumer drops the frames in a block a little later, usually before the next read but
//! one. Then the decoder can reuse the block without the allocator, while it is still in the processor's cache.

use bytes::BytesMut;

/// At most this many blocks are kept.
const MOST: usize = 3;

/// Smaller blocks are not worth keeping, and larger ones take too much memory.
const WORTH: std::ops::RangeInclusive<usize> = 4 << 10..=128 << 10;

/// Blocks, the one put back longest ago first.
#[derive(Debug, Default)]
pub(super) struct Spares(Vec<Spare>);

#[derive(Debug)]
struct Spare {
    /// Empty: the free end of a block in which frames may still be held.
    memory: BytesMut,
    /// The size of the whole block, in bytes.
    block: usize,
}

impl Spares {
    /// Keeps a block of this many bytes, by its free end.
    pub(super) fn put(&mut self, mut memory: BytesMut, block: usize) {
        if !WORTH.contains(&block) {
            return;
        }
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        memory.clear();
        self.0.push(Spare { memory, block });
    }

    /// A block with room for `capacity` bytes in which no frame is held, and its size.
    pub(super) fn take(&mut self, capacity: usize) -> Option<(BytesMut, usize)> {
        let fits = |spare: &mut Spare| {
            capacity <= spare.block && suits(spare.block, capacity) && spare.memory.try_reclaim(capacity)
        };
        let at = self.0.iter_mut().position(fits)?;
        let Spare { memory, block } = self.0.remove(at);
        Some((memory, block))
    }

    /// Drops blocks that are far too large for reads of this size.
    pub(super) fn shed(&mut self, read_size: usize) {
        self.0.retain(|spare| suits(spare.block, read_size));
    }

    /// The memory of all blocks, in bytes.
    pub(super) fn memory_len(&self) -> usize {
        self.0.iter().map(|spare| spare.block).sum()
    }
}

/// Whether a block is not far too large for the capacity: small frames would keep it alive.
const fn suits(block: usize, capacity: usize) -> bool {
    capacity >= block / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(len: usize) -> BytesMut {
        BytesMut::with_capacity(len)
    }

    #[test]
    fn a_block_is_used_again_unless_it_is_too_small_or_far_too_large() {
        let mut spares = Spares::default();
        spares.put(block(8192), 8192);
        assert!(spares.take(8193).is_none());
        assert!(spares.take(4095).is_none());
        let (memory, len) = spares.take(4096).expect("half of it is wanted");
        assert_eq!((memory.capacity(), len, spares.memory_len()), (8192, 8192, 0));
    }

    #[test]
    fn a_block_with_a_frame_that_is_held_stays() {
        let mut spares = Spares::default();
        let mut memory = block(8192);
        memory.extend_from_slice(b"frame");
        let frame = memory.split().freeze();
        spares.put(memory, 8192);
        assert!(spares.take(8192).is_none());
        drop(frame);
        assert!(spares.take(8192).is_some());
    }

    #[test]
    fn a_few_blocks_of_useful_sizes_are_kept() {
        let mut spares = Spares::default();
        for len in [(4 << 10) - 1, (128 << 10) + 1] {
            spares.put(block(len), len);
        }
        assert_eq!(spares.memory_len(), 0);
        for len in [4 << 10, 10 << 10, 11 << 10, 128 << 10] {
            spares.put(block(len), len);
        }
        assert_eq!(spares.memory_len(), (10 + 11 + 128) << 10, "the oldest went");
        spares.shed(10 << 10);
        assert_eq!(spares.memory_len(), (10 + 11) << 10);
    }
}
