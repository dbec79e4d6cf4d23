//! The end of this process when the system has no memory for it. The standard library prints how many bytes were
//! missing, and aborts. The message here says what the user can do.

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, Ordering};

/// What is printed when there is no memory.
const MESSAGE: &[u8] = b"error: out of memory
free memory, raise the limit of memory (`ulimit -v`), or train fewer runs at the same time with --jobs, and run the \
same command again
";

/// Whether an allocation has failed.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// An allocator that remembers whether an allocation has failed.
#[derive(Debug)]
pub struct WatchedAllocator<A>(pub A);

impl<A> WatchedAllocator<A> {
    fn watched(pointer: *mut u8) -> *mut u8 {
        if pointer.is_null() {
            HAS_FAILED.store(true, Ordering::Relaxed);
        }
        pointer
    }
}

// SAFETY: every call is passed on to an allocator, and its result is returned as it is.
unsafe impl<A: GlobalAlloc> GlobalAlloc for WatchedAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the inner allocator needs. This holds below, too.
        Self::watched(unsafe { self.0.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: see `alloc`.
        Self::watched(unsafe { self.0.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: see `alloc`.
        Self::watched(unsafe { self.0.realloc(pointer, layout, size) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: see `alloc`.
        unsafe { self.0.dealloc(pointer, layout) }
    }
}

/// Lets this process end with a message and exit code 1 if the standard library aborts it for lack of memory.
pub fn explain_abort() {
    handle_abort(SigHandler::Handler(on_abort));
}

/// Undoes [`explain_abort`].
pub(crate) fn end_by_signal() {
    handle_abort(SigHandler::SigDfl);
}

fn handle_abort(handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the only handler of this module calls only functions that are safe in a signal handler.
    // It fails for an invalid signal only.
    let _ = unsafe { sigaction(Signal::SIGABRT, &action) };
}

/// An abort for another reason goes on when this returns.
extern "C" fn on_abort(_signal: libc::c_int) {
    if HAS_FAILED.load(Ordering::Relaxed) {
        // SAFETY: both functions may be called in a signal handler, and the pointer leads to that many bytes.
        unsafe {
            libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len());
            libc::_exit(1);
        }
    }
}
