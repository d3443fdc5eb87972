//! The confirmation before a token is disabled. Enabling it again needs no confirmation.

use leptos::prelude::*;

use super::{
    one::{back_to_list, one_token, ways},
    place::Place,
    show::last_used,
};
use crate::{
    components::{icon::Glyph, panel::Panel},
    fns::tokens_show::TokenDetail,
    forms::confirm::Confirm,
    notice::Notice,
};

/// The confirmation before a token is disabled.
#[component]
pub fn TokenDisablePage() -> impl IntoView {
    one_token(true, |detail, place| view! { <Question detail place/> }.into_any())
}

#[component]
fn Question(detail: TokenDetail, place: Place) -> impl IntoView {
    let (paths, list) = ways(&detail, &place);
    let TokenDetail { now, token, .. } = detail;
    let name = token.name.clone();
    let on_done = back_to_list(list.clone(), Notice::TokenDisabled { name: name.clone() });
    view! {
        <Panel title=format!("Disable “{name}”?") close_href=list.clone() size="panel-small">
            <Confirm action=paths.action(token.id, "disable") cancel_href=list
                label="Disable token" glyph=Glyph::Pause on_done>
                <p>
                    "Requests that use it are refused until you enable it again. Nothing else \
                     changes."
                </p>
                <dl class="facts facts-box">
                    <div>
                        <dt>"Token"</dt>
                        <dd>
                            <strong><bdi>{name.clone()}</bdi></strong>" "
                            <code class="hint">{token.hint.clone()}</code>
                        </dd>
                    </div>
                    <div><dt>"Last used"</dt><dd>{last_used(&token, now)}</dd></div>
                </dl>
                <label class="check-row">
                    <input class="checkbox" type="checkbox" name="children" value="true"/>
                    <span>" Also disable the tokens created with it"</span>
                </label>
            </Confirm>
        </Panel>
    }
}
