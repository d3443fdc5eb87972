//! One row of the list.

use domain::{ids::TokenId, token::Token};
use leptos::prelude::*;
use time::OffsetDateTime;

use super::{actions::RowMenu, paths::Paths, place::Place, status::TokenStatus};
use crate::components::{
    icon::{Glyph, Icon},
    moment::{MaybeMoment, Moment},
};

/// The number of scopes that a row shows before it only counts the rest.
const CHIPS: usize = 2;

/// A token in the list. `data-label` names a cell where the table becomes cards.
#[component]
pub fn TokenRow(
    /// The token.
    token: Token,
    /// The server's clock.
    now: OffsetDateTime,
    /// The paths of its workspace.
    paths: Paths,
    /// The place in the list to return to.
    place: Place,
    /// The token that was just created.
    created: Signal<Option<TokenId>>,
    /// Whether the visitor may change it.
    may_write: bool,
) -> impl IntoView {
    let id = token.id;
    let is_new = Memo::new(move |_| created.get() == Some(id));
    let view = paths.token(token.id, &place);
    let delete = paths.delete(token.id, &place);
    let name = token.name.clone();
    let description = token.description.to_string();
    let description = (!description.is_empty())
        .then(|| view! { <span class="token-description"><bdi>{description}</bdi></span> });
    let creator = token
        .created_by
        .as_ref()
        .map_or_else(|| "command line".to_owned(), |user| user.name.clone());
    view! {
        <tr id=format!("token-{}", token.id) class:is-new=move || is_new.get()>
            <th scope="row">
                {move || is_new.get().then(|| view! { <span class="visually-hidden">"New: "</span> })}
                <a class="token-name" href=view.clone()><bdi>{name.clone()}</bdi></a>
                {description}
            </th>
            <td data-label="Status"><TokenStatus token=token.clone() now/></td>
            <td data-label="Hint"><code class="hint">{token.hint.clone()}</code></td>
            <td data-label="Scopes">{chips(&token)}</td>
            <td data-label="Owner"><span class="owner" title=token.user.email.clone()><bdi>{token.user.name.clone()}</bdi></span></td>
            <td data-label="Created">
                <Moment at=token.created_at now dated=true/>
                <span class="cell-note">"by "<bdi>{creator}</bdi></span>
            </td>
            <td data-label="Expires"><MaybeMoment at=token.expires_at now/></td>
            <td data-label="Last used"><MaybeMoment at=token.last_used_at now/></td>
            <td class="row-actions">
                <a class="button button-small" href=view id=format!("view-{}", token.id)>
                    "View"<span class="visually-hidden">" "{name.clone()}</span>
                </a>
                {may_write.then(|| view! {
                    <RowMenu token=token.clone() paths place/>
                    <a class="icon-button icon-danger" href=delete id=format!("delete-{}", token.id)
                        aria-label=format!("Delete {name}") title="Delete">
                        <Icon glyph=Glyph::Trash/>
                    </a>
                })}
            </td>
        </tr>
    }
}

fn chips(token: &Token) -> impl IntoView + use<> {
    if token.scopes.is_empty() {
        return view! { <span class="muted">"None"</span> }.into_any();
    }
    let chips = token
        .scopes
        .iter()
        .take(CHIPS)
        .map(|scope| view! { <li class="chip">{scope.to_string()}</li> })
        .collect_view();
    let rest: Vec<_> = token.scopes.iter().skip(CHIPS).map(ToString::to_string).collect();
    let more = (!rest.is_empty()).then(|| {
        view! {
            <li class="chip chip-more" title=rest.join(", ")>
                {format!("+{}", rest.len())}<span class="visually-hidden">" more"</span>
            </li>
        }
    });
    view! { <ul class="chips">{chips}{more}</ul> }.into_any()
}
