//! The server side: components behind a Unix socket.

#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "what serves building blocks through it comes next"
    )
)]
mod access;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        unused_imports,
        reason = "what serves building blocks through it comes next"
    )
)]
pub(crate) mod core;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "what serves building blocks through it comes next"
    )
)]
mod instances;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "what serves building blocks through it comes next"
    )
)]
mod lost_init;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "what serves building blocks through it comes next"
    )
)]
mod peers;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "what serves building blocks through it comes next"
    )
)]
mod socket;
