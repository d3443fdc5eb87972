//! Icons: strokes on a 16×16 grid, in the colour of the text. They are decorative; the text beside
//! them carries the meaning.

use leptos::prelude::*;

/// The drawings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyph {
    /// Add.
    Plus,
    /// Search.
    Search,
    /// Delete.
    Trash,
    /// Copy.
    Copy,
    /// Done, or chosen.
    Check,
    /// Close, or no.
    Close,
    /// Opens or expands something.
    Chevron,
    /// Sorted in descending order.
    Down,
    /// Can be sorted or switched.
    UpDown,
    /// Navigation.
    Menu,
    /// Settings.
    Settings,
    /// Help.
    Help,
    /// A token.
    Key,
    /// Overview.
    Tiles,
    /// A document.
    Doc,
    /// A time.
    Clock,
    /// Disabled.
    Pause,
    /// Expired.
    Expired,
    /// Active, done.
    Active,
    /// Warning.
    Warning,
    /// Information.
    Info,
    /// Scheduled.
    Calendar,
    /// A person.
    User,
    /// Sign out.
    SignOut,
    /// Locked.
    Lock,
    /// Back.
    Back,
    /// An external link.
    External,
    /// Edit.
    Edit,
    /// Rotate.
    Rotate,
    /// More actions.
    More,
    /// Show.
    Eye,
    /// Enable.
    Play,
    /// A server.
    Server,
}

impl Glyph {
    const fn paths(self) -> &'static str {
        match self {
            Self::Plus => r#"<path d="M8 3v10M3 8h10"/>"#,
            Self::Search => r#"<circle cx="7" cy="7" r="4.25"/><path d="m10.25 10.25 3.25 3.25"/>"#,
            Self::Trash => {
                r#"<path d="M2.75 4.25h10.5M6.25 4V2.5h3.5V4M4.25 4.5l.5 9h6.5l.5-9M6.75 7v4M9.25 7v4"/>"#
            }
            Self::Copy => {
                r#"<rect x="5.75" y="5.75" width="7.75" height="7.75" rx="1.5"/><path d="M3.75 10.25H3a.5.5 0 0 1-.5-.5V3a.5.5 0 0 1 .5-.5h6.75a.5.5 0 0 1 .5.5v.75"/>"#
            }
            Self::Check => r#"<path d="m3 8.5 3.25 3.25L13 5"/>"#,
            Self::Close => r#"<path d="m4 4 8 8M12 4l-8 8"/>"#,
            Self::Chevron => r#"<path d="m6 4 4 4-4 4"/>"#,
            Self::Down => r#"<path d="m4 6 4 4 4-4"/>"#,
            Self::UpDown => r#"<path d="m5 6 3-3 3 3M5 10l3 3 3-3"/>"#,
            Self::Menu => r#"<path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11"/>"#,
            Self::Settings => {
                r#"<circle cx="8" cy="8" r="1.75"/><path d="M6.9 1.75h2.2l.4 1.75 1.2.7 1.7-.55 1.1 1.9-1.3 1.2v1.5l1.3 1.2-1.1 1.9-1.7-.55-1.2.7-.4 1.75H6.9l-.4-1.75-1.2-.7-1.7.55-1.1-1.9 1.3-1.2v-1.5l-1.3-1.2 1.1-1.9 1.7.55 1.2-.7z"/>"#
            }
            Self::Help => {
                r#"<circle cx="8" cy="8" r="6.25"/><path d="M6.1 6.3a1.9 1.9 0 1 1 2.7 1.7c-.5.3-.8.6-.8 1.2v.2M8 11.5h.01"/>"#
            }
            Self::Key => {
                r#"<circle cx="5.25" cy="10.75" r="2.75"/><path d="m7.25 8.75 6-6M10.75 5.25l2 2"/>"#
            }
            Self::Tiles => {
                r#"<rect x="2.5" y="2.5" width="4.5" height="4.5" rx=".75"/><rect x="9" y="2.5" width="4.5" height="4.5" rx=".75"/><rect x="2.5" y="9" width="4.5" height="4.5" rx=".75"/><rect x="9" y="9" width="4.5" height="4.5" rx=".75"/>"#
            }
            Self::Doc => {
                r#"<path d="M3.75 1.75h5.5l3 3v9.5h-8.5zM9 1.75V5h3.25M6 8h4M6 10.75h4"/>"#
            }
            Self::Clock => r#"<circle cx="8" cy="8" r="6.25"/><path d="M8 4.5V8l2.5 1.75"/>"#,
            Self::Pause => r#"<circle cx="8" cy="8" r="6.25"/><path d="M6.5 6v4M9.5 6v4"/>"#,
            Self::Expired => {
                r#"<circle cx="8" cy="8" r="6.25"/><path d="m5.75 5.75 4.5 4.5M10.25 5.75l-4.5 4.5"/>"#
            }
            Self::Active => r#"<circle cx="8" cy="8" r="6.25"/><path d="m5.25 8.25 2 2 3.5-4"/>"#,
            Self::Warning => r#"<path d="M8 2.25 14.25 13.5H1.75zM8 6.5v3M8 11.5h.01"/>"#,
            Self::Info => r#"<circle cx="8" cy="8" r="6.25"/><path d="M8 7.25v4M8 4.75h.01"/>"#,
            Self::Calendar => {
                r#"<rect x="2.25" y="3.25" width="11.5" height="10.5" rx="1.5"/><path d="M2.25 6.75h11.5M5.25 1.75v3M10.75 1.75v3"/>"#
            }
            Self::User => {
                r#"<circle cx="8" cy="5.25" r="2.75"/><path d="M2.75 14c.6-2.9 2.6-4.25 5.25-4.25s4.65 1.35 5.25 4.25"/>"#
            }
            Self::SignOut => r#"<path d="M6.25 2.75h-3v10.5h3M7 8h6.5M11 5.25 13.75 8 11 10.75"/>"#,
            Self::Lock => {
                r#"<rect x="3.25" y="7.25" width="9.5" height="6.5" rx="1.25"/><path d="M5.25 7.25V5a2.75 2.75 0 0 1 5.5 0v2.25"/>"#
            }
            Self::Back => r#"<path d="M13 8H3M7 4 3 8l4 4"/>"#,
            Self::Edit => r#"<path d="m3 13 .5-2.75 7-7 2.25 2.25-7 7zM9 4.75 11.25 7"/>"#,
            Self::Rotate => {
                r#"<path d="M13 6.5A5.25 5.25 0 0 0 3.4 5.25M3 9.5a5.25 5.25 0 0 0 9.6 1.25M3.25 2.5v2.75H6M12.75 13.5v-2.75H10"/>"#
            }
            Self::More => r#"<path d="M3.5 8h.01M8 8h.01M12.5 8h.01" stroke-width="2"/>"#,
            Self::Eye => {
                r#"<path d="M1.75 8S4 3.75 8 3.75 14.25 8 14.25 8 12 12.25 8 12.25 1.75 8 1.75 8z"/><circle cx="8" cy="8" r="1.75"/>"#
            }
            Self::Play => {
                r#"<circle cx="8" cy="8" r="6.25"/><path d="m6.75 5.75 3.75 2.25-3.75 2.25z"/>"#
            }
            Self::Server => {
                r#"<rect x="2.25" y="2.5" width="11.5" height="4.5" rx="1"/><rect x="2.25" y="9" width="11.5" height="4.5" rx="1"/><path d="M4.75 4.75h.01M4.75 11.25h.01"/>"#
            }
            Self::External => r#"<path d="M6.5 3.5h-4v10h10v-4M9.5 2.5h4v4M13.25 2.75 7.5 8.5"/>"#,
        }
    }
}

/// An icon.
#[component]
pub fn Icon(
    /// The drawing.
    glyph: Glyph,
    /// The classes; `icon` by default.
    #[prop(default = "icon")]
    class: &'static str,
) -> impl IntoView {
    view! { <svg class=class viewBox="0 0 16 16" aria-hidden="true" inner_html=glyph.paths()></svg> }
}
