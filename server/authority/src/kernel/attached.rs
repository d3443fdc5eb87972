//! What a server keeps in memory together with the facts of tokens. None of it counts when facts are
//! compared.

use std::{
    any::Any,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// Response bytes that were rendered once from the value that holds them. They do not count when
/// values are compared.
#[derive(Debug, Default)]
pub struct Rendered(OnceLock<Box<[u8]>>);

impl Rendered {
    /// Returns the bytes; `render` creates them on the first call.
    pub fn get_or(&self, render: impl FnOnce() -> Vec<u8>) -> &[u8] {
        self.0.get_or_init(|| render().into())
    }
}

impl Clone for Rendered {
    /// Returns an empty value, because the copy may be about to change.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Rendered {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Rendered {}

/// Bytes that count towards a sum until this is dropped. They do not count when
/// values are compared.
#[derive(Debug, Default)]
pub struct Counted(Option<(Arc<AtomicUsize>, usize)>);

impl Counted {
    /// Adds bytes to a sum.
    pub fn new(sum: &Arc<AtomicUsize>, bytes: usize) -> Self {
        sum.fetch_add(bytes, Ordering::Relaxed);
        Self(Some((Arc::clone(sum), bytes)))
    }

    /// Returns how many bytes are counted; 0 if none are.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |(_, bytes)| *bytes)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some((sum, bytes)) = &self.0 {
            sum.fetch_sub(*bytes, Ordering::Relaxed);
        }
    }
}

impl Clone for Counted {
    /// Returns an empty value: the owner of the copy has to count it.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Counted {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Counted {}

/// Whether surroundings still hold for everything that refers to them, and a value that is dropped
/// together with them. Neither counts when values are compared.
#[derive(Debug, Default)]
pub struct Validity {
    ended: AtomicBool,
    attached: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Validity {
    /// Returns whether a change has ended the validity.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Ends the validity for good.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Attaches a value that is dropped together with this one, unless a value is attached already.
    pub fn attach<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) {
        self.attached.get_or_init(|| Box::new(make()));
    }
}

impl Clone for Validity {
    /// Returns a new validity, which does not end when this one does.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Validity {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Validity {}
