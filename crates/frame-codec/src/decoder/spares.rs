//! Blocks that were read into before. Whoever took the frames in them drops these a little later, mostly before the next read
//! but one; then the block is there again, and in the processor's cache, without a word to the allocator.

use bytes::BytesMut;

/// So many blocks are remembered.
const MOST: usize = 3;

/// Neither smaller blocks are worth remembering, nor larger ones worth keeping.
const WORTH: std::ops::RangeInclusive<usize> = 4 << 10..=128 << 10;

/// Blocks, the one put back longest ago first.
#[derive(Debug, Default)]
pub(super) struct Spares(Vec<Spare>);

#[derive(Debug)]
struct Spare {
    /// Empty: the free end of a block that frames may still be held in.
    memory: BytesMut,
    /// Bytes in all of the block.
    block: usize,
}

impl Spares {
    /// Remembers a block of so many bytes by its free end.
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

    /// A block with room for `capacity` bytes that nobody holds frames in, and its size.
    pub(super) fn take(&mut self, capacity: usize) -> Option<(BytesMut, usize)> {
        let fits = |spare: &mut Spare| {
            // One that is far too large would be kept alive by frames that are far too small.
            capacity <= spare.block && capacity >= spare.block / 2 && spare.memory.try_reclaim(capacity)
        };
        let at = self.0.iter_mut().position(fits)?;
        let Spare { memory, block } = self.0.remove(at);
        Some((memory, block))
    }

    /// The memory of all blocks, in bytes.
    pub(super) fn memory_len(&self) -> usize {
        self.0.iter().map(|spare| spare.block).sum()
    }
}
