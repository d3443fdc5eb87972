//! The navigation of a workspace: a switcher, and its pages, with Settings at the bottom.

use domain::workspace::WorkspaceCard;
use leptos::prelude::*;

use crate::{
    components::icon::{Glyph, Icon},
    fns::frame::Frame,
};

/// The navigation of the current workspace. Outside of a workspace it is empty.
#[component]
pub fn Sidebar(
    /// The data of the frame.
    frame: Frame,
    /// The slug of the current workspace.
    workspace: Memo<Option<String>>,
    /// The page's path.
    path: Memo<String>,
) -> impl IntoView {
    let frame = StoredValue::new(frame);
    move || {
        let slug = workspace.get()?;
        Some(frame.with_value(|frame| {
            view! {
                <div class="sidebar" id="navigation" popover="auto">
                    <Switcher cards=frame.workspaces.clone() slug=slug.clone()/>
                    <Links slug path manages=frame.visitor.is_instance_admin()/>
                </div>
            }
        }))
    }
}

#[component]
fn Switcher(cards: Vec<WorkspaceCard>, slug: String) -> impl IntoView {
    let current = cards.iter().find(|card| card.workspace.slug.as_ref() == slug);
    let name = current.map_or_else(|| slug.clone(), |card| card.workspace.name.to_string());
    let items: Vec<_> = cards
        .iter()
        .map(|card| {
            let is_current = card.workspace.slug.as_ref() == slug;
            let name = card.workspace.name.to_string();
            view! {
                <a
                    class="menu-item"
                    href=format!("/workspaces/{}", card.workspace.slug)
                    aria-current=is_current.then_some("true")
                >
                    <span class="ws-tile" aria-hidden="true">{initials(&name)}</span>
                    <span>{name}</span>
                    {is_current.then(|| view! { <Icon glyph=Glyph::Check class="icon menu-check"/> })}
                </a>
            }
        })
        .collect();
    view! {
        <details class="menu switcher">
            <summary class="switcher-button">
                <span class="ws-tile" aria-hidden="true">{initials(&name)}</span>
                <span class="switcher-name">
                    <span class="visually-hidden">"Workspace: "</span>
                    {name}
                </span>
                <Icon glyph=Glyph::UpDown/>
            </summary>
            <div class="menu-list">
                {items}
                <a class="menu-item menu-rule" href="/workspaces">
                    <Icon glyph=Glyph::Tiles/>
                    <span>"All workspaces"</span>
                </a>
            </div>
        </details>
    }
}

#[component]
fn Links(
    slug: String,
    path: Memo<String>,
    /// Whether the visitor manages the instance.
    manages: bool,
) -> impl IntoView {
    let home = format!("/workspaces/{slug}");
    let settings = format!("{home}/settings");
    let tokens = format!("{settings}/tokens");
    view! {
        <nav class="nav" aria-label="Workspace">
            <ul class="nav-list">
                <li><NavLink href=home glyph=Glyph::Tiles name="Overview" path/></li>
                <li>
                    <a class="nav-link" href="/api/docs" rel="external">
                        <Icon glyph=Glyph::Doc/>
                        <span>"API reference"</span>
                    </a>
                </li>
            </ul>
            <ul class="nav-list nav-end">
                {manages.then(|| view! {
                    <li><NavLink href="/instance".to_owned() glyph=Glyph::Server name="Instance" path/></li>
                })}
                <li>
                    <NavLink href=settings glyph=Glyph::Settings name="Settings" path/>
                    <ul class="nav-sub">
                        <li>
                            <NavLink href=tokens glyph=Glyph::Key name="API Tokens" path with_pages_below=true/>
                        </li>
                    </ul>
                </li>
            </ul>
        </nav>
    }
}

#[component]
fn NavLink(
    href: String,
    glyph: Glyph,
    name: &'static str,
    path: Memo<String>,
    /// Whether the link is also current on the pages below its own.
    #[prop(optional)]
    with_pages_below: bool,
) -> impl IntoView {
    let current = {
        let href = href.clone();
        move || {
            path.with(|path| {
                let path = path.replace("%40", "@");
                let rest = path.trim_end_matches('/').strip_prefix(href.as_str())?;
                (rest.is_empty() || with_pages_below && rest.starts_with('/')).then_some("page")
            })
        }
    };
    view! {
        <a class="nav-link" href=href aria-current=current>
            <Icon glyph/>
            <span>{name}</span>
        </a>
    }
}

/// Returns the initials that stand for a name in small places: the first characters of its first
/// two words.
pub fn initials(name: &str) -> String {
    name.split_whitespace()
        .filter_map(|word| word.chars().find(|character| character.is_alphanumeric()))
        .take(2)
        .flat_map(char::to_uppercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials_are_taken_from_two_words() {
        assert_eq!(initials("Workspace 1"), "W1");
        assert_eq!(initials("ada"), "A");
        assert_eq!(initials("  “Customer” platform of Acme"), "CP");
        assert_eq!(initials("🙂"), "");
    }
}
