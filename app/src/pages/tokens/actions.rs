//! The actions on a token, in its row and in its panel.

use domain::token::Token;
use leptos::prelude::*;

use super::{one::back_to_list, paths::Paths, place::Place};
use crate::{
    components::icon::{Glyph, Icon},
    forms::{EnhancedForm, SubmitButton},
    notice::Notice,
};

/// The menu of a row: all actions except View and Delete.
#[component]
pub fn RowMenu(
    /// The token.
    token: Token,
    /// The paths of its workspace.
    paths: Paths,
    /// The place in the list to return to.
    place: Place,
) -> impl IntoView {
    let name = token.name.clone();
    let link = |glyph: Glyph, label: &'static str, href: String| {
        view! {
            <a class="menu-item" href=href>
                <Icon glyph/>
                <span>{label}</span>
            </a>
        }
    };
    let reveal =
        token.recoverable.then(|| link(Glyph::Eye, "Show secret", paths.reveal(token.id, &place)));
    let grace = token.grace_until.map(|_| {
        view! {
            <PostItem token=token.clone() paths=paths.clone() place=place.clone() what="end-grace"
                label="Revoke old secret" glyph=Glyph::Clock
                notice=Notice::GraceEnded { name: name.clone() }/>
        }
    });
    let switch = if token.enabled {
        link(Glyph::Pause, "Disable", paths.disable(token.id, &place)).into_any()
    } else {
        view! {
            <PostItem token=token.clone() paths=paths.clone() place=place.clone() what="enable"
                label="Enable" glyph=Glyph::Play
                notice=Notice::TokenEnabled { name: name.clone() }/>
        }
        .into_any()
    };
    let menu = format!("more-{}", token.id);
    view! {
        // The menu is a popover, because the table's edge would clip any other menu.
        <button class="icon-button" type="button" popovertarget=menu.clone()
            aria-label=format!("More for {name}") title="More">
            <Icon glyph=Glyph::More/>
        </button>
        <div class="row-menu" id=menu popover="auto">
            {link(Glyph::Edit, "Edit", paths.edit(token.id, &place))}
            {link(Glyph::Rotate, "Rotate", paths.rotate(token.id, &place))}
            {reveal}
            {grace}
            {link(Glyph::Copy, "Make a copy", paths.copy(&token))}
            {switch}
        </div>
    }
}

/// A menu item that acts immediately: a form with one button.
#[component]
fn PostItem(
    token: Token,
    paths: Paths,
    place: Place,
    what: &'static str,
    label: &'static str,
    glyph: Glyph,
    notice: Notice,
) -> impl IntoView {
    let on_done = back_to_list(paths.list(&place), notice);
    view! {
        <EnhancedForm action=paths.action(token.id, what) class="menu-form" button=label on_done>
            <SubmitButton class="menu-item">
                <Icon glyph/>
                <span>{label}</span>
            </SubmitButton>
        </EnhancedForm>
    }
}

/// The foot of a token's panel.
#[component]
pub fn PanelActions(
    /// The token.
    token: Token,
    /// The paths of its workspace.
    paths: Paths,
    /// The place in the list to return to.
    place: Place,
) -> impl IntoView {
    let id = token.id;
    let button = |glyph: Glyph, label: &'static str, href: String| {
        view! {
            <a class="button" href=href>
                <Icon glyph/>
                <span>{label}</span>
            </a>
        }
    };
    let reveal =
        token.recoverable.then(|| button(Glyph::Eye, "Show secret", paths.reveal(id, &place)));
    let switch = if token.enabled {
        button(Glyph::Pause, "Disable", paths.disable(id, &place)).into_any()
    } else {
        let notice = Notice::TokenEnabled { name: token.name.clone() };
        let on_done = back_to_list(paths.list(&place), notice);
        view! {
            <EnhancedForm action=paths.action(id, "enable") class="inline-form" button="Enable" on_done>
                <SubmitButton class="button">
                    <Icon glyph=Glyph::Play/>
                    <span>"Enable"</span>
                </SubmitButton>
            </EnhancedForm>
        }
        .into_any()
    };
    view! {
        {button(Glyph::Edit, "Edit", paths.edit(id, &place))}
        {button(Glyph::Rotate, "Rotate", paths.rotate(id, &place))}
        {reveal}
        {switch}
        <a class="button button-danger-quiet push-end" href=paths.delete(id, &place)>
            <Icon glyph=Glyph::Trash/>
            <span>"Delete"</span>
        </a>
    }
}
