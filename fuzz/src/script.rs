//! An input as a list of decisions.

/// Reads an input from its beginning; when it is at its end, all that follows is zero.
pub struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    pub fn new(input: &'a [u8]) -> Script<'a> {
        Script { rest: input }
    }

    pub fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub fn long(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// As many bytes as the next two say, or as there are.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.short());
        let (bytes, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        bytes
    }

    /// One of a list, if it has any.
    pub fn one_of<'b, T>(&mut self, list: &'b [T]) -> Option<&'b T> {
        let at = usize::from(self.byte());
        at.checked_rem(list.len()).map(|at| &list[at])
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let (bytes, rest) = self.rest.split_at(N.min(self.rest.len()));
        array[..bytes.len()].copy_from_slice(bytes);
        self.rest = rest;
        array
    }
}
