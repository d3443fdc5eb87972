//! The question whether to delete a token.

use leptos::{either::Either, prelude::*};
use leptos_router::{
    NavigateOptions,
    hooks::{use_location, use_navigate},
};

use super::{
    list::use_list_version,
    paths::Paths,
    place::Place,
    problem::ProblemPanel,
    view::{last_used, use_token_id},
};
use crate::{
    components::{confirm::Confirm, flash::use_flash, panel::Panel},
    fns::tokens_show::{TokenDetail, tokens_show},
    notice::Notice,
    pages::overview::use_workspace_slug,
    posted::Outcome,
};

/// The question whether to delete a token.
#[component]
pub fn TokenDeletePage() -> impl IntoView {
    let workspace = use_workspace_slug();
    let id = use_token_id();
    let search = use_location().search;
    let detail = Resource::new(
        move || (workspace.get(), id.get()),
        |(workspace, id)| tokens_show(workspace, id),
    );
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                match detail.await {
                    Ok(detail) => {
                        let place = Place::read(&search.get_untracked());
                        Either::Left(view! { <Question detail place/> })
                    }
                    Err(error) => Either::Right(view! { <ProblemPanel error/> }),
                }
            })}
        </Suspense>
    }
}

#[component]
fn Question(detail: TokenDetail, place: Place) -> impl IntoView {
    let TokenDetail { now, token, .. } = detail;
    let paths = Paths::new(token.workspace.as_ref());
    let list = paths.list(&place);
    let name = token.name.clone();
    let navigate = use_navigate();
    let flash = use_flash();
    let version = use_list_version();
    let on_done = {
        let (list, name) = (list.clone(), name.clone());
        Callback::new(move |_: Outcome| {
            flash.show(Notice::TokenDeleted { name: name.clone() });
            version.bump();
            let options =
                NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() };
            navigate(&list, options);
        })
    };
    view! {
        <Panel title=format!("Delete {name}?") close_href=list.clone() size="panel-small">
            <Confirm action=paths.delete_action(token.id) cancel_href=list label="Delete token"
                on_done>
                <p>
                    "A token can never be used again once it has been deleted. Programs that still \
                     send it are refused from that moment on."
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
            </Confirm>
        </Panel>
    }
}
