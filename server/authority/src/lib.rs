//! The core of Tessera, which every surface (REST, console, command line) calls.
//!
//! Modules import only modules below them (`tools/layers.toml` has the order, and the test command
//! checks it):
//!
//! - `kernel` has the types that all others share; below it are clocks, randomness, keys and queues.
//! - [`store`] has all SQL.
//! - `facts`, `lease`, `usage`, `shares`, `password`, `patterns` and `refusals` are what a server
//!   holds in memory; `state` puts them together.
//! - `lookup` finds the facts of a token; `transaction` makes changes, `access` authorises them, and
//!   `audit` records them.
//! - The services, one folder for each noun: `tokens`, `workspaces`, `users`, `verification`, …
//! - `authority` and `background` start them.
//!
//! Invariants:
//!
//! - [`OpContext`] is the first argument of every service method, and authorisation its first step.
//!   Surfaces authenticate, translate and respond; they decide nothing.
//! - Validation, transaction and audit row live inside the service method, so that no surface can
//!   skip them.
//! - All SQL is in [`store`]. A query on a tenant's rows takes a `Tenant`, which only `access`
//!   creates.
//! - The clock and randomness come in through [`clock`] and [`entropy`].
//! - Secrets have types of their own ([`secret`]) whose `Debug` shows nothing.
//! - Every async method of a service has a span with its noun, its verb and the caller's kind and
//!   id (`tests/all/spans.rs` checks it). Verification from memory has none, to stay fast.
//! - No HTTP and no leptos here.
//!
//! To add an operation: a file in its noun's folder (types, errors, function, tests), a method on
//! the noun's service in `mod.rs`, its SQL in `store/<noun>.rs`.

mod access;
mod audit;
mod authority;
mod background;
mod catalogues;
pub mod clock;
mod counters;
mod durability;
pub mod entropy;
mod facts;
mod fallen_invitations;
mod idempotency;
mod invitations;
mod kernel;
pub mod keys;
mod lease;
mod lookup;
mod observe;
mod pace;
mod password;
mod passwords;
mod patterns;
mod policies;
mod queue;
mod refusals;
mod replicas;
pub mod secret;
mod sessions;
mod setup;
mod shares;
mod state;
pub mod store;
mod tokens;
mod transaction;
mod transfer;
mod turns;
mod usage;
mod users;
mod verification;
mod work;
mod workspaces;

pub use audit::{
    AuditLog, AuditPage, AuditQuery, AuditScope, ChainReport, Damage, EXPORT_PAGE, KnownHead,
};
pub use catalogues::{
    AudienceChange, Catalogues, LoadOptions, NewAudience, NewScope, Retired, ScopeChange,
    file as catalogue_file, openapi,
};
pub use counters::{Counters, Histogram, Snapshot};
pub use durability::Risk;
pub use facts::RateState;
pub use idempotency::{Attempt, Claim, Idempotency, KeptReply, Purpose};
pub use invitations::{Invitations, OPEN_INVITATIONS_MAX};
pub use kernel::{
    About, Actor, AudienceRights, AuditRecord, Counted, Facts, Known, OpContext, Rendered,
    STEPS_MAX, SecretFacts, ServiceError, Surface, Surroundings, Validity, Verifies,
    limits::INVITATIONS_PER_HOUR,
};
pub use observe::{Observation, PoolState};
pub use pace::Pace;
pub use password::PASSWORD_MIN;
pub use passwords::{Account, ChangedPassword, PasswordChange, PasswordLink, Passwords};
pub use policies::{Policies, PolicyLevel};
pub use refusals::{Refusal, RefusalKind};
pub use replicas::{LEASE, Replicas};
pub use sessions::{COOKIE_SEPARATOR, KNOWN_FOR, Resolved, Sessions, SignIn, SignedIn};
pub use setup::{NewAdmin, Setup, SetupForm};
pub use shares::Holder;
pub use state::{Authority, Drill, Settings};
pub use store::{
    addresses::AddressConflict,
    passwords::{DoubtfulPassword, PasswordDoubt},
    secret_holders::ExposedToken,
    unread::{Doubt, UnreadScope},
};
pub use tokens::{
    BULK_MAX, BulkAction, BulkOutcome, Edit, KnownSecrets, MintedToken, Recoverable, RotationDraft,
    TokenDraft, TokenPatch, Tokens,
};
pub use transfer::{Format, ImportReport, ImportedToken, ROWS_MAX, Transfer};
pub use turns::{Turn, Turns};
pub use users::{ChangedUser, NewUser, UserChange, Users};
pub use verification::{
    ANSWERS_MAX, Asked, Decision, Introspected, Presented, QUESTIONS_MAX, Recalled, Rejection,
    Remembered, Verification,
};
pub use work::lower_priority;
pub use workspaces::{
    Added, AmbiguousGrant, ChangedMember, GrantsChange, MemberChange, NewMember, NewWorkspace,
    Workspaces,
};
