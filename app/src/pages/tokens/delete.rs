//! The confirmation before a token is deleted.

use leptos::prelude::*;

use super::{
    one::{back_to_list, one_token, ways},
    place::Place,
    show::last_used,
};
use crate::{
    components::{
        icon::{Glyph, Icon},
        panel::Panel,
    },
    fns::tokens_show::TokenDetail,
    forms::confirm::Confirm,
    notice::Notice,
};

/// The confirmation before a token is deleted.
#[component]
pub fn TokenDeletePage() -> impl IntoView {
    one_token(true, |detail, place| view! { <Question detail place/> }.into_any())
}

#[component]
fn Question(detail: TokenDetail, place: Place) -> impl IntoView {
    let (paths, list) = ways(&detail, &place);
    let TokenDetail { now, token, .. } = detail;
    let name = token.name.clone();
    let on_done = back_to_list(list.clone(), Notice::TokenDeleted { name: name.clone() });
    let instead = token.enabled.then(|| {
        let href = paths.disable(token.id, &place);
        view! {
            <p>
                "Not sure? "
                <a href=href><Icon glyph=Glyph::Pause/>" Disable it instead"</a>
                ". You can enable it again later."
            </p>
        }
    });
    view! {
        <Panel title=format!("Delete “{name}”?") close_href=list.clone() size="panel-small">
            <Confirm action=paths.action(token.id, "delete") cancel_href=list label="Delete token"
                on_done>
                <p>
                    "A token can never be used again once it has been deleted. Requests \
                     that still use it are refused immediately."
                </p>
                <dl class="facts facts-box">
                    <div>
                        <dt>"Token"</dt>
                        <dd>
                            <strong><bdi>{name.clone()}</bdi></strong>" "
                            <code class="hint">{token.hint.clone()}</code>
                        </dd>
                    </div>
                    <div><dt>"Acts as"</dt><dd><bdi>{token.user.name.clone()}</bdi></dd></div>
                    <div><dt>"Last used"</dt><dd>{last_used(&token, now)}</dd></div>
                </dl>
                <label class="check-row">
                    <input class="checkbox" type="checkbox" name="children" value="true"/>
                    <span>" Also delete the tokens created with it"</span>
                </label>
                {instead}
            </Confirm>
        </Panel>
    }
}
